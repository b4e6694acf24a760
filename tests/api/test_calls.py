"""gradlab.run, gradlab.sweep and gradlab.load against the command line."""

import asyncio
import contextlib
import io
import json
import logging
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from tests.support.made_up import make_run

import gradlab
from gradlab.cli import main
from gradlab.config.hydra_compat import INITIALIZE_OPTIONS
from gradlab.config.paths import CONFIGS
from gradlab.probe.probe import Probe
from gradlab.train.loop import Loop

SMALL = ("model.depth=2", "model.width=8", "train.steps=6", "probe.every=3", "figures=false")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def command(monkeypatch, *words: str) -> int:
    """Run the command line `gradlab` in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["gradlab", *words])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    GlobalHydra.instance().clear()
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    return 0


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.csv"))}


def test_a_run_is_done_and_returned():
    run = gradlab.run(*SMALL, to="mine")
    assert run.folder == Path("mine").absolute()
    assert (run.status, run.record["steps"]) == ("completed", 6)
    assert run.overrides == list(SMALL)
    assert gradlab.run(*SMALL).folder.parent == Path("outputs", "runs").absolute()


def test_command_line_and_call_write_the_same_files_and_reuse_each_other(monkeypatch, capsys):
    assert command(monkeypatch, *SMALL, "hydra.run.dir=typed") == 0
    called = gradlab.run(*SMALL, to="called")
    assert tables(Path("typed")) == tables(called.folder)
    for name in ("config.yaml", "overrides.yaml"):
        assert Path("typed", ".hydra", name).read_text() == (called.folder / ".hydra" / name).read_text()
    typed, own = (Path(name, ".hydra", "hydra.yaml").read_text() for name in ("typed", "called"))
    assert typed.replace("typed", "called") == own.replace("hydra.run.dir='called'", "hydra.run.dir=called")
    capsys.readouterr()
    gradlab.run(*SMALL, to="typed")
    assert command(monkeypatch, *SMALL, "hydra.run.dir=called") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"already complete: {Path('typed').absolute()}", f"already complete: {called.folder}"
    ]  # fmt: skip


def test_command_line_and_call_reuse_the_runs_of_a_sweep(monkeypatch, capsys):
    swept = (*SMALL, "seed=0,1")
    assert command(monkeypatch, "-m", *swept, "hydra.sweep.dir=typed") == 0
    capsys.readouterr()
    sweep = gradlab.sweep(*swept, to="typed")
    assert "2 of 2 runs are complete already" in capsys.readouterr().out
    assert len(sweep) == 2
    gradlab.sweep(*swept, to="called")
    capsys.readouterr()
    assert command(monkeypatch, "-m", *swept, "hydra.sweep.dir=called") == 0
    assert "2 of 2 runs are complete already" in capsys.readouterr().out


@pytest.mark.parametrize("launcher", [pytest.param("parallel", marks=pytest.mark.slow), "fused"])
def test_a_sweep_under_another_launcher(launcher):
    extra = {"parallel": ["hydra.launcher.n_jobs=2"], "fused": ["hydra.launcher.n_jobs=1"]}[launcher]
    sweep = gradlab.sweep(*SMALL, "seed=0,1", f"hydra/launcher={launcher}", *extra, to="s")
    assert [run.status for run in sweep] == ["completed", "completed"]
    assert (launcher == "fused") == all(run.record.get("fused") == 2 for run in sweep)


REFUSALS = [
    (("model.dpeth=3",), "unknown key model.dpeth: model (gradlab.nn.mlp.MLP) has no 'dpeth'; did you mean"),
    (("activation=tahn",), "activation has no option 'tahn'; did you mean tanh?"),
    (("seed=1,2",), "seed=1,2 means a sweep: call gradlab.sweep, or write a list as KEY=[A,B]"),
    (("hydra/sweeper=remedies",), "hydra/sweeper=remedies is a sweep: call gradlab.sweep"),
    (("-m", "seed=1"), "-m: overrides are KEY=VALUE; gradlab.run does one run, gradlab.sweep many"),
    ((3,), "an override must be a string such as 'model.depth=50', got 3"),
    (("train.resume=nowhere",), "train.resume=nowhere: no run to resume: "),
]


@pytest.mark.parametrize(("overrides", "line"), REFUSALS, ids=lambda value: str(value)[:20])
def test_a_refusal_has_the_message_of_the_command(overrides, line, capsys):
    with pytest.raises(gradlab.GradlabError) as caught:
        gradlab.run(*overrides)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr() == ("", "")
    assert not list(Path().glob("outputs/runs/*/run.json"))


def test_an_error_in_a_run_names_its_folder_and_the_next_run_works(capsys):
    with pytest.raises(gradlab.GradlabError, match="must be at least 1, got 0") as caught:
        gradlab.run(*SMALL, "model.depth=0", to="bad")
    assert caught.value.folder == Path("bad").absolute()
    assert gradlab.load("bad").status == "failed"
    assert capsys.readouterr().err == ""
    assert gradlab.run(*SMALL, to="good").status == "completed"


def test_an_unexpected_error_has_its_type_and_its_traceback(monkeypatch):
    def broken(self):
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr(Loop, "run", broken)
    with pytest.raises(gradlab.GradlabError) as caught:
        gradlab.run(*SMALL, to="bad")
    log = Path("bad", "error.log").absolute()
    assert str(caught.value) == f"RuntimeError: first second (traceback in {log})"
    assert isinstance(caught.value.__cause__.__cause__ or caught.value.__cause__, RuntimeError)


def test_a_sweep_with_a_failed_run_raises_after_the_others_and_can_be_loaded():
    with pytest.raises(gradlab.GradlabError, match="1 of 2 runs failed: ") as caught:
        gradlab.sweep(*SMALL, "model.depth=0,2", to="s")
    sweep = gradlab.load(caught.value.folder)
    assert sorted(run.status for run in sweep) == ["completed", "failed"]


def test_a_run_that_does_not_pass_its_gate_raises_a_gate_error():
    with pytest.raises(gradlab.GateError, match="gate: ") as caught:
        gradlab.run(*SMALL, "gate=strict", "gate.min_accuracy=1.0", to="gated")
    assert gradlab.load(caught.value.folder).status == "completed"


def test_an_interrupted_run_is_resumed_by_the_same_call(monkeypatch):
    whole = gradlab.run(*SMALL, to="whole")
    untouched = Probe.after_update

    def interrupt(probe):
        if probe.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        untouched(probe)

    monkeypatch.setattr(Probe, "after_update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        gradlab.run(*SMALL, to="cut")
    assert gradlab.load("cut").status == "interrupted"
    monkeypatch.setattr(Probe, "after_update", untouched)
    assert gradlab.run("train.resume=cut").folder == Path("cut").absolute()
    assert tables(Path("cut")) == tables(whole.folder)


def test_the_state_of_the_session_is_restored(tmp_path):
    handler = logging.FileHandler(tmp_path / "own.log", mode="w")
    root = logging.getLogger()
    root.addHandler(handler)
    before = list(root.handlers), root.level, list(sys.argv), list(sys.path), dict(os.environ)
    torch.manual_seed(3)
    expected = torch.random.fork_rng, torch.get_rng_state()
    threads = torch.get_num_threads()
    config = HydraConfig.instance().cfg  # of a command that another test ran in this process; else None
    try:
        with initialize_config_dir(str(CONFIGS), **INITIALIZE_OPTIONS):
            mine = GlobalHydra.instance().hydra
            gradlab.run(*SMALL, "train.threads=2", to="a")
            with pytest.raises(gradlab.GradlabError):
                gradlab.run("depth=3")
            assert GlobalHydra.instance().hydra is mine
            assert compose("config", overrides=["seed=5"]).seed == 5
        assert HydraConfig.instance().cfg is config
        assert (list(root.handlers), root.level, list(sys.argv), list(sys.path), dict(os.environ)) == before
        assert torch.equal(torch.get_rng_state(), expected[1])
        assert torch.get_num_threads() == threads
        root.warning("still written")
        assert (tmp_path / "own.log").read_text() == "still written\n"
    finally:
        root.removeHandler(handler)
        handler.close()


def test_it_works_in_an_event_loop_with_stdout_captured():
    async def cell():
        with contextlib.redirect_stdout(io.StringIO()) as out:
            gradlab.run(*SMALL, to="a")
        return out.getvalue()

    assert "completed in " in (text := asyncio.run(cell()))
    assert str(Path("a").absolute()) in text


def test_a_folder_of_user_options(tmp_path):
    (tmp_path / "mine" / "activation").mkdir(parents=True)
    (tmp_path / "mine" / "activation" / "half.yaml").write_text("# Half\n_target_: half_parts.Half\n_partial_: true\n")
    (tmp_path / "half_parts.py").write_text("import torch\nclass Half(torch.nn.ReLU):\n    pass\n")
    run = gradlab.run(*SMALL, "activation=half", to="a", config_dir="mine")
    assert run.config["activation"]["_target_"] == "half_parts.Half"
    with pytest.raises(gradlab.GradlabError, match="--config-dir nowhere: there is no such folder"):
        gradlab.run(config_dir="nowhere")


def test_folder_names_with_special_characters_are_quoted(tmp_path):
    for name in ("a b", "a,b=c", "it's", "a\\'b", 'two"quotes', "[x]{y}", "b\\"):
        found = gradlab.run("train=init", *SMALL[:2], "figures=false", to=tmp_path / name)
        assert found.folder == tmp_path / name
        assert (tmp_path / name / "run.json").exists()


def test_load_distinguishes_runs_from_sweeps(tmp_path):
    make_run(tmp_path / "s" / "one")
    make_run(tmp_path / "s" / "two")
    assert isinstance(gradlab.load(tmp_path / "s" / "one"), gradlab.Run)
    assert isinstance(gradlab.load(str(tmp_path / "s")), gradlab.Sweep)
    (tmp_path / "empty").mkdir()
    for wrong, line in (("empty", "holds no run"), ("nowhere", "there is no such folder")):
        with pytest.raises(gradlab.GradlabError, match=line):
            gradlab.load(tmp_path / wrong)


def test_a_run_of_the_command_is_read_from_its_files(monkeypatch):
    assert command(monkeypatch, *SMALL, "hydra.run.dir=typed") == 0
    assert gradlab.load("typed").record == json.loads(Path("typed", "run.json").read_text())


def test_a_refused_config_leaves_no_folder_and_no_file_in_an_existing_one():
    Path("there").mkdir()
    for name in ("new", "there"):
        with pytest.raises(gradlab.GradlabError, match=r"optimizer\.lr must be"):
            gradlab.run(*SMALL, "optimizer.lr=-1", to=name)
    assert not Path("new").exists()
    assert not list(Path("there").iterdir())


def test_a_refused_config_leaves_the_run_in_its_folder_as_it_was():
    run = gradlab.run(*SMALL, to="kept")
    before = {path: path.read_bytes() for path in Path("kept").rglob("*") if path.is_file()}
    assert Path("kept", ".hydra", "config.yaml") in before
    for other in ("seed=1", "optimizer.lr=-1"):
        with pytest.raises(gradlab.GradlabError):
            gradlab.run(*SMALL, other, to="kept")
    assert {path: path.read_bytes() for path in Path("kept").rglob("*") if path.is_file()} == before
    assert gradlab.run(*SMALL, "seed=1", "overwrite=true", to="kept").record["seed"] == 1
    assert run.status == "completed"
