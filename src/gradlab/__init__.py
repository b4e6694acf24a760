"""A wind tunnel for gradient flow: see where a deep network's gradients vanish or explode, and what helps.

    run(*overrides, to=…) -> Run        one run, as the command `gradlab` does it
    sweep(*overrides, to=…) -> Sweep    many runs, as `gradlab -m`
    load(folder) -> Run | Sweep         what a folder holds
    explain(run) -> Explanation         what was wrong, why, and what may help, as `gradlab-explain`
    diff(one, other) -> Difference      where two runs part, as `gradlab-diff`
    watch(model, to=…) -> Watch         the probe around a training loop of your own

Importing the package imports no torch, pandas or matplotlib: each name is imported on first use.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradlab.api.calls import load as load
    from gradlab.api.calls import run as run
    from gradlab.api.calls import sweep as sweep
    from gradlab.api.diff import Difference as Difference
    from gradlab.api.diff import diff as diff
    from gradlab.api.explain import Explanation as Explanation
    from gradlab.api.explain import explain as explain
    from gradlab.api.many_runs import Sweep as Sweep
    from gradlab.api.one_run import Run as Run
    from gradlab.errors import GateError as GateError
    from gradlab.errors import GradlabError as GradlabError
    from gradlab.interfaces import Point as Point
    from gradlab.watch import watch as watch

__version__ = "0.1.0"

_HOMES = {
    "Difference": "api.diff",
    "Explanation": "api.explain",
    "GateError": "errors",
    "GradlabError": "errors",
    "Point": "interfaces",
    "Run": "api.one_run",
    "Sweep": "api.many_runs",
    "diff": "api.diff",
    "explain": "api.explain",
    "load": "api.calls",
}
_CALLABLE = {"run": "api.calls", "sweep": "api.calls", "watch": "watch"}  # modules of this package, too
__all__ = [
    "Difference", "Explanation", "GateError", "GradlabError", "Point", "Run", "Sweep", "__version__",
    "diff", "explain", "load", "run", "sweep", "watch",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _CALLABLE:
        return import_module(f"gradlab.{name}")  # which puts it here
    if name not in _HOMES:
        raise AttributeError(f"module 'gradlab' has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(f"gradlab.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return __all__


class CallableModule(ModuleType):
    """A module that is called like the public function of its name.

    Python puts an imported submodule where ``gradlab.run`` is looked up, and saved configs and pickles hold names below
    ``gradlab.run``, ``gradlab.sweep`` and ``gradlab.watch``. So the modules stay, and each takes this class in its last
    line: ``sys.modules[__name__].__class__ = CallableModule``. ``gradlab.run(...)`` then works whatever was imported
    before. `inspect.signature` and `help` show the function, which is imported only when needed.
    """

    @property
    def __wrapped__(self) -> Any:
        name = self.__name__.rpartition(".")[2]
        return vars(import_module(f"gradlab.{_CALLABLE[name]}"))[name]

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.__wrapped__(*args, **options)

    def __reduce__(self) -> Any:
        return import_module, (self.__name__,)  # pickled by name, as other modules are


# Of the modules: help(gradlab.run) describes the function.
CallableModule.__doc__ = property(lambda module: module.__wrapped__.__doc__)  # pyright: ignore[reportAttributeAccessIssue]
