"""`gradlab.run`, `sweep` and `watch` are functions and modules at once, for every order of imports."""

import inspect
import pickle
import pydoc
import subprocess
import sys

import pytest

import gradlab
from gradlab.api import calls

FIRST = (
    "import gradlab",
    "import gradlab.run.execute",
    "from gradlab.sweep.callback import Sweep",
    "from gradlab.watch import Watch",
    "import gradlab.api.calls",
    "from gradlab import run, sweep, watch",
    "from gradlab.cli import main",
)
CHECK = """
import itertools, sys
for order in [(first,) for first in FIRST] + list(itertools.permutations(FIRST[1:], 2)):
    for name in [name for name in sys.modules if name.split(".")[0] == "gradlab"]:
        del sys.modules[name]  # torch stays imported, which is faster than a fresh process for each order
    for line in order:
        exec(line, {})
    import gradlab
    for name, call, text in CALLS:
        try:
            getattr(gradlab, name)(*call[0], **call[1])
        except gradlab.GradlabError as error:
            assert text in str(error), (order, error)
        else:
            raise AssertionError((order, name))
    from gradlab.run.execute import execute
    from gradlab.sweep.callback import Sweep
    assert gradlab.run.execute.execute is execute, order
    assert gradlab.sweep.callback.Sweep is Sweep, order
    assert gradlab.watch.Watch, order
print("checked")
"""
CALLS = (
    ("run", (["-m"], {}), "KEY=VALUE"),
    ("sweep", (["-m"], {}), "KEY=VALUE"),
    ("watch", ([None], {"to": "x"}), "must be a torch.nn.Module"),
)


def test_they_can_be_called_after_any_two_imports():
    code = f"FIRST = {FIRST!r}\nCALLS = {CALLS!r}\n{CHECK}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("checked\n", 0), done.stderr


@pytest.mark.parametrize("first", ["import gradlab", "import gradlab.run", "import gradlab.sweep.callback"])
def test_run_and_sweep_can_be_called_in_a_fresh_process(first):
    code = (
        f"{first}\nimport gradlab, sys\nfor function in (gradlab.sweep, gradlab.run):\n"
        "    try: function('-m')\n    except gradlab.GradlabError: continue\n    raise AssertionError\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_and_its_functions_imports_nothing_heavy():
    code = (
        "import sys, gradlab\n"
        "heavy = lambda: {'torch', 'pandas', 'matplotlib', 'numpy', 'hydra'} & set(sys.modules)\n"
        "dir(gradlab); assert not heavy(), heavy()\n"
        "gradlab.run; gradlab.sweep; gradlab.load; gradlab.explain; gradlab.diff\n"
        "assert not {'torch', 'pandas', 'matplotlib'} & heavy(), heavy()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_signature_and_help_are_those_of_the_function():
    for name, function in (("run", calls.run), ("sweep", calls.sweep)):
        module = getattr(gradlab, name)
        assert inspect.signature(module) == inspect.signature(function)
        assert "Do " in pydoc.render_doc(module)
        assert "train.resume" in pydoc.render_doc(gradlab.run)
    assert "every" in inspect.signature(gradlab.watch).parameters


def test_the_listed_names_are_there_and_no_others():
    assert dir(gradlab) == sorted(gradlab.__all__)
    for name in gradlab.__all__:
        assert getattr(gradlab, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gradlab.nothing  # noqa: B018


def test_the_modules_are_pickled_by_name():
    assert pickle.loads(pickle.dumps(gradlab.run)) is gradlab.run
