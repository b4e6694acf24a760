import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

import gradlab
from gradlab.config.options import description, groups
from gradlab.config.paths import CONFIGS
from gradlab.errors import GradlabError

HEAVY = ("torch", "torchvision", "matplotlib", "pandas", "sklearn", "pydantic")


REFUSALS = [
    ("activation=rleu", "gradlab: activation has no option 'rleu'; did you mean relu? choices: celu, elu,"),
    ("logger=[csv,wanbd]", "gradlab: logger has no option 'wanbd'; did you mean wandb? choices: csv, mlflow,"),
    ("activation=null", "gradlab: activation has no option 'null'; choices: celu, elu,"),
    ("hydra/launcher=paralel", "gradlab: hydra/launcher has no option 'paralel'; did you mean parallel? choices:"),
    ("activatoin=relu", "gradlab: unknown key activatoin; did you mean activation?"),
    ("depth=3", "gradlab: unknown key depth; did you mean model.depth?"),
    ("+depth=3", "gradlab: unknown key depth; did you mean model.depth?"),
    ("lr=1", "gradlab: unknown key lr; did you mean optimizer.lr?"),
    (
        "model.dpeth=3",
        "gradlab: unknown key model.dpeth: model (gradlab.nn.mlp.MLP) has no 'dpeth'; did you mean model.depth?",
    ),
    (
        "+model.dpeth=3",
        "gradlab: unknown key model.dpeth: gradlab.nn.mlp.MLP takes no 'dpeth'; did you mean model.depth?",
    ),
    ("model.depth.more=3", "gradlab: unknown key model.depth.more: model.depth is a single value"),
    ("optimizer.foo=1", "gradlab: unknown key optimizer.foo: optimizer (torch.optim.SGD) has no 'foo'; its keys: lr,"),
    ("train.stepz=3", "gradlab: unknown key train.stepz; did you mean train.steps?"),
    ("+train.stepz=3", "gradlab: unknown key train.stepz; did you mean train.steps?"),
    ("hydra.launchr=3", "gradlab: unknown key hydra.launchr; did you mean hydra.launcher?"),
    ("train.steps=abc", "gradlab: train.steps must be an integer of at least 1, got abc"),
    ("train.steps=2.5", "gradlab: train.steps must be an integer of at least 1, got 2.5"),
    ("train.measure_only=maybe", "gradlab: train.measure_only must be true or false, got maybe"),
    ("probe.layers=head", "gradlab: probe.layers must be a list of names, got head"),
    ("train.batch_size=-1", "gradlab: train.batch_size must be an integer of at least 1, got -1"),
    ("train.device=gpu", "gradlab: train.device must be one of auto, cpu, cuda, got gpu"),
    ("model.depth=true", "gradlab: model.depth must be a valid integer, got true"),
    ("optimizer.lr=abc", "gradlab: optimizer.lr must be a positive finite number or auto, got abc"),
    ("~activation", "gradlab: ~activation: a key cannot be removed; write KEY=VALUE or choose another option"),
    ("seed=1,2", "gradlab: seed=1,2 means a sweep: add -m, or write a list as KEY=[A,B]"),
    ("model.depth==3", "gradlab: cannot read 'model.depth==3': extraneous input '='; write KEY=VALUE"),
    ("model.depth", "gradlab: cannot read 'model.depth': missing EQUAL at '<EOF>'; write KEY=VALUE"),
    ("=3", "gradlab: cannot read '=3'; write KEY=VALUE"),
    (
        "train.resume=nowhere",
        "gradlab: train.resume=nowhere: no run to resume: nowhere/.hydra/config.yaml is missing",
    ),
    ("--cfgg", "gradlab: unknown flag --cfgg; did you mean --cfg?"),
    ("--cfg", "gradlab: argument --cfg/-c: expected one argument; gradlab --help lists the options"),
    ("--config-dir=nowhere", "gradlab: --config-dir nowhere: there is no such folder"),
    ("--config-name=foo", "gradlab: Cannot find primary config 'foo'. Check that it's in your config search path."),
    ("--options=actvation", "gradlab: unknown group actvation; did you mean activation? groups: activation,"),
]


@pytest.mark.parametrize(("argument", "line"), REFUSALS, ids=[argument for argument, _ in REFUSALS])
def test_a_refusal_is_one_line_that_helps(call, argument, line):
    code, _, err = call(argument)
    assert code == 1
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert "+" not in err.replace(argument, "")


def test_a_good_config_runs(call):
    assert call("train=smoke", "model.depth=3") == (0, "", "")


def test_overrides_on_both_sides_of_a_flag(call):
    code, out, _ = call("seed=7", "--cfg", "job", "train.steps=9")
    assert code == 0
    assert "seed: 7" in out
    assert "steps: 9" in out


def test_an_unforeseen_error_is_one_line_with_its_type(call, monkeypatch):
    def fail(cfg):
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr(sys.modules["gradlab.run.execute"], "run", fail)
    code, _, err = call()
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("gradlab: RuntimeError: first second")


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        (("fused", "hydra.launcher.n_jobs=0"), "hydra.launcher.n_jobs must be a number of processes, -1 for all cores"),
        (("fused", "hydra.launcher.width=0.5"), "hydra.launcher.width must be an integer of at least 1, got 0.5"),
        pytest.param(("ray",), "uv sync --extra ray", marks=pytest.mark.skipif(bool(find_spec("ray")), reason="there")),
    ],
)
def test_a_launcher_that_cannot_be_is_refused_before_anything_is_run(call, launcher, message, tmp_path):
    name, *more = launcher
    code, out, err = call("-m", f"hydra/launcher={name}", *more, "seed=0,1", f"hydra.sweep.dir={tmp_path / 's'}")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err
    assert not list(tmp_path.glob("s/*/run.json"))


def test_ctrl_c_exits_with_130(call, monkeypatch):
    def interrupt(cfg):
        raise KeyboardInterrupt

    def interrupt_in_the_midst(cfg):
        try:
            raise KeyboardInterrupt
        finally:
            raise AttributeError("what was half done")

    for way in (interrupt, interrupt_in_the_midst):
        monkeypatch.setattr(sys.modules["gradlab.run.execute"], "run", way)
        assert call() == (130, "", "gradlab: interrupted\n")


def test_the_users_own_wish_for_a_traceback_is_kept(call, monkeypatch):
    monkeypatch.setattr("gradlab.cli.command.WANTS_TRACEBACK", True)
    with pytest.raises(GradlabError, match="unknown key depth"):
        call("depth=3")


def test_version(call):
    code, out, _ = call("--version")
    assert code == 0
    assert out.startswith(f"gradlab {gradlab.__version__} (torch 2.")


def test_help_names_every_group_option_and_setting(call):
    code, out, _ = call("activation=relu", "--help")
    assert code == 0
    words = out.replace(",", " ").split()
    for group, options in groups([CONFIGS]).items():
        assert {group, *options} <= set(words)
    assert "train.batch_size" in out


def test_options_describes_one_group_or_all(call):
    assert "relu                 max(0, x)" in call("--options", "activation")[1]
    everything = call("--options")[1]
    assert "hydra/launcher\n  fused " in everything
    assert "\nmodel\n" in everything


def test_options_of_a_users_own_folder(call, tmp_path):
    (tmp_path / "mine" / "activation").mkdir(parents=True)
    (tmp_path / "mine" / "activation" / "swish2.yaml").write_text("# My own\n_target_: my_parts.swish2\n")
    (tmp_path / "my_parts.py").write_text("def swish2():\n    return None\n")
    assert "  swish2               My own" in call("--options", "activation", "--config-dir", "mine")[1]
    assert call("--config-dir", "mine", "activation=swish2") == (0, "", "")
    assert "did you mean swish2? choices:" in call("--config-dir", "mine", "activation=swihs2")[2]


def test_every_option_says_what_it_is():
    for path in CONFIGS.glob("*/**/*.yaml"):
        line = next(line for line in path.read_text().splitlines() if "@package" not in line)
        assert line.startswith("# "), path
        assert len(line) <= 120, path
        assert description(path), path


def test_a_sweep_experiment_needs_the_flag(call, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    text = "# @package _global_\n# Two seeds\nhydra:\n  sweeper:\n    params:\n      seed: 0,1\n"
    (tmp_path / "mine" / "experiment" / "two.yaml").write_text(text)
    assert call("-cd", "mine", "experiment=two") == (1, "", "gradlab: this experiment is a sweep: add -m\n")
    assert call("hydra/sweeper=remedies") == (1, "", "gradlab: hydra/sweeper=remedies is a sweep: add -m\n")
    assert not (tmp_path / "outputs").exists()
    assert "  two                  Two seeds" in call("-cd", "mine", "--options", "experiment")[1]


def test_resume_is_for_one_run_and_leaves_nothing_behind(call, tmp_path):
    code, out, err = call("-m", "train.resume=a,b")
    assert (code, out) == (1, "")
    assert err.startswith("gradlab: train.resume resumes one run, without -m; a sweep resumes when its command")
    assert call("train.resume=nowhere", "model.depth=3")[0] == 1
    assert list(tmp_path.iterdir()) == []


def test_two_runs_of_one_second_have_two_folders(call, tmp_path):
    call()
    call()
    assert len(list((tmp_path / "outputs" / "runs").iterdir())) == 2


LIGHT = [
    ["--help"],
    ["--version"],
    ["--options"],
    ["--cfg", "job"],
    ["-sc", "query=bash"],
    ["activation=rleu"],
    ["model.dpeth=3"],
    ["--foo"],
]


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_quick_answers_import_nothing_heavy(arguments, tmp_path):
    code = (
        "import sys, atexit, json\n"
        f"atexit.register(lambda: print('HEAVY', json.dumps([name for name in {HEAVY!r} if name in sys.modules])))\n"
        f"sys.argv[1:] = {arguments!r}\n"
        "from gradlab.cli import main\nmain()\n"
    )
    environment = os.environ | {"COMP_LINE": "gradlab activation=re", "HYDRA_FULL_ERROR": "0"}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment, check=False
    )
    assert json.loads(result.stdout.rpartition("HEAVY")[2]) == []
    assert result.returncode == (0 if arguments[0] in ("--help", "--version", "--options", "--cfg", "-sc") else 1)
    if arguments[0] == "-sc":
        assert result.stdout.startswith("activation=relu")


def test_a_failed_run_leaves_a_sweep_with_exit_code_1(tmp_path):
    command = [sys.executable, "-m", "gradlab.cli", "-m", "model.depth=0,1", "train=init", "figures=false"]
    environment = {key: value for key, value in os.environ.items() if key != "HYDRA_FULL_ERROR"}
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 1
    assert "1 completed, 0 diverged, 1 failed: outputs/sweeps/" in result.stdout
    assert result.stderr.endswith(" failed: model.depth must be at least 1, got 0\n")
    assert result.stderr.count("\n") == 1
