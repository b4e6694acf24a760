"""A run that is interrupted and resumed equals one that was never interrupted."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from tests.support.running import compose_config
from tests.support.waiting import wait_until

from gradlab.api import resume
from gradlab.artifacts.fingerprint import compute_fingerprint
from gradlab.artifacts.record import read_run
from gradlab.config.paths import CONFIGS
from gradlab.errors import GradlabError
from gradlab.probe.probe import Probe
from gradlab.run.execute import execute
from gradlab.view import figures

SMALL = ("model.depth=4", "model.width=12", "train.steps=90", "train.eval_every=20", "probe.every=7", "figures=false",
         "train.checkpoint_every=8")  # fmt: skip


class Killed(BaseException):
    """An exception that `except Exception` does not catch, in place of SIGKILL."""


@pytest.fixture
def kill(monkeypatch):
    """Return a function that ends the next run in the middle of a step."""
    untouched = Probe.after_update

    def at(step: int) -> None:
        def after_update(probe: Probe) -> None:
            if probe.step == step:
                raise Killed
            untouched(probe)

        monkeypatch.setattr(Probe, "after_update", after_update)

    return at


def do(folder: Path, *overrides: str, resume: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    execute(compose_config(*overrides), folder, overrides=overrides, choices={}, resume=resume)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return the run's tables, and the parts of its checkpoint that belong to the training, as bytes."""
    saved = torch.load(folder / "checkpoint.pt", weights_only=True)
    training = {name: saved[name] for name in ("model", "optimizer", "lr_scheduler", "clipping", "rng", "step")}
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")} | {"training": flat(training)}


def flat(value) -> bytes:
    if isinstance(value, torch.Tensor):
        return value.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
    if isinstance(value, dict):
        return b"".join(repr(key).encode() + flat(value[key]) for key in sorted(value, key=repr))
    if isinstance(value, list | tuple):
        return b"".join(flat(item) for item in value)
    return repr(value).encode()


def write_images(root: Path) -> Path:
    """Four noisy pictures of each of two classes, to train and to test."""
    for number in range(16):
        folder = root / ("train", "test")[number % 2] / ("light", "dark")[number // 2 % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((8, 8), 10 + 80 * (number // 2 % 2)).save(folder / f"{number}.png")
    return root


CASES = {
    "adam": ("optimizer=adam", "lr_scheduler=plateau", "lr_scheduler.patience=0", "clipping=autoclip"),
    "muon": ("optimizer=muon", "lr_scheduler=loss_restart", "lr_scheduler.threshold=2", "clipping=zclip",
             "clipping.warmup_steps=20"),
    "dropped blocks": ("residual=stochastic_depth", "normalization=batch_norm", "lr_scheduler=one_cycle"),
    "augmented": ("model=cnn", "model.stages=1", "data=image_folder", "data.size=8", "data.augment=true",
                  "data.memory=0", "data.workers=0", "train.batch_size=4", "lr_scheduler=warm_restarts",
                  "model.auxiliary_every=2"),
    "fresh": ("data=adding", "data.length=6", "model.bias=false", "normalization=weight_norm"),
    "short numbers": ("train.autocast=fp16", "train.accumulate=2", "lr_scheduler=multistep"),
}  # fmt: skip


ALSO = ("muon", "fresh", "short numbers")  # of these, in the slow tests


@pytest.mark.parametrize(
    "overrides",
    [pytest.param(case, marks=pytest.mark.slow if name in ALSO else (), id=name) for name, case in CASES.items()],
)
def test_a_run_resumed_from_any_step_equals_an_uninterrupted_one(tmp_path, kill, capsys, caplog, overrides):
    if "data=image_folder" in overrides:
        overrides += (f"data.root={write_images(tmp_path / 'images')}",)
    whole = contents(do(tmp_path / "whole", *SMALL, *overrides))
    folder = tmp_path / "cut"
    with caplog.at_level("INFO", logger="gradlab"):
        for step in (5, 64, 89):  # before the first checkpoint, just after one, in the last step
            kill(step)
            with pytest.raises(Killed):
                do(folder, *SMALL, *overrides)
            for path in folder.glob("*.csv"):
                with path.open("a") as table:
                    table.write("63,1,half a li")
        kill(-1)
        do(folder, *SMALL, *overrides, resume=True)
    begun = [line.split(":")[0] for line in caplog.messages if line.startswith("resuming")]
    assert begun == [f"resuming at step {step}" for step in (64, 88)]
    assert contents(folder) == whole


def test_interrupted_training_and_drawing_are_done_again(tmp_path, monkeypatch, caplog):
    whole = contents(do(tmp_path / "whole", *SMALL))
    interrupted = Probe.after_update

    def interrupt(probe: Probe) -> None:
        interrupted(probe)
        if probe.step == 41:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Probe, "after_update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        do(tmp_path / "cut", *SMALL)
    assert read_run(tmp_path / "cut")["status"] == "interrupted"

    def killed_drawing(run_dir: Path, *, caption: str) -> None:
        (run_dir / "figures").mkdir()
        (run_dir / "figures" / "loss.png").write_bytes(b"half a pict")
        raise Killed

    drawn = figures.draw_run
    monkeypatch.setattr(figures, "draw_run", killed_drawing)
    with pytest.raises(Killed):
        do(tmp_path / "cut", *SMALL, "figures=true")
    assert contents(tmp_path / "cut") == whole
    monkeypatch.setattr(figures, "draw_run", drawn)
    caplog.clear()  # an earlier test may have let everything through
    with caplog.at_level("INFO", logger="gradlab"):
        do(tmp_path / "cut", *SMALL, "figures=true")
        stamp = (tmp_path / "cut" / "figures" / "loss.png").stat()
        do(tmp_path / "cut", *SMALL, "figures=true")
    assert [line.split(":")[0] for line in caplog.messages] == ["already complete"] * 2
    assert stamp.st_size > 1000
    assert (tmp_path / "cut" / "figures" / "loss.png").stat().st_mtime_ns == stamp.st_mtime_ns


def test_a_kill_between_checkpoint_and_run_json_loses_nothing(tmp_path):
    folder = do(tmp_path / "run", *SMALL)
    whole, record = contents(folder), read_run(folder)
    (folder / "run.json").unlink()
    do(folder, *SMALL)
    assert contents(folder) == whole
    again = read_run(folder)
    for key in ("metrics", "verdicts", "steps", "status", "hidden_layers"):
        assert again[key] == record[key]


def test_another_torch_is_a_warning(tmp_path):
    folder = do(tmp_path / "run", *SMALL)
    (folder / "run.json").unlink()
    saved = torch.load(folder / "checkpoint.pt", weights_only=True)
    saved["environment"]["torch"] = "1.0"
    torch.save(saved, folder / "checkpoint.pt")
    do(folder, *SMALL)
    (warning,) = read_run(folder)["warnings"]
    assert warning.startswith("started with torch=1.0, not ")


def test_a_run_of_another_config_is_named_and_left_alone(tmp_path):
    folder = do(tmp_path / "run", *SMALL)
    (folder / "run.json").unlink()
    before = contents(folder)
    with pytest.raises(GradlabError) as refusal:
        do(folder, *SMALL, "model.depth=5", "optimizer=adam", "train.threads=2", resume=True)
    message = str(refusal.value)
    for part in ("model.depth=4, not 5", "optimizer._target_=torch.optim.SGD, not torch.optim.Adam", "train.threads=1"):
        assert part in message
    assert "\n" not in message
    assert contents(folder) == before
    assert not (folder / "run.json").exists()
    with pytest.raises(GradlabError, match=r"holds a run of another config \(model\.depth=4, not 5\)"):
        do(folder, *SMALL, "model.depth=5")
    assert contents(folder) == before
    do(folder, *SMALL, "model.depth=5", "overwrite=true")
    assert read_run(folder)["steps"] == 90
    assert contents(folder) != before


def test_lost_rows_and_a_broken_checkpoint_are_errors(tmp_path):
    folder = do(tmp_path / "run", *SMALL)
    (folder / "run.json").unlink()
    (folder / "metrics.csv").write_text("step,epo")
    with pytest.raises(GradlabError, match="lacks rows that checkpoint"):
        do(folder, *SMALL)
    (folder / "checkpoint.pt").write_bytes(b"PK no more")
    with pytest.raises(GradlabError, match="cannot be read; remove it to start the run over"):
        do(folder, *SMALL)
    (folder / "checkpoint.pt").unlink()
    do(folder, *SMALL)
    assert read_run(folder)["status"] == "completed"


def test_checkpoints_do_not_change_the_fingerprint():
    prints = {
        compute_fingerprint({"seed": 0, "train": {"steps": 3, "checkpoint_every": every, "resume": name}}, {})
        for every, name in ((0, ""), (5, ""), (5, "outputs/runs/a"))
    }
    assert len(prints) == 1


def test_the_folder_to_resume_may_be_that_of_a_sweeps_run():
    assert resume.asked(["train.resume=outputs/a/activation=relu,model.depth=50-6d9c1e"]).endswith("depth=50-6d9c1e")
    assert resume.asked(["train.resume='a b'"]) == "a b"
    assert resume.asked(["train.resume="]) is None
    assert resume.asked(["train.steps=3"]) is None


def test_resume_accepts_only_overrides_that_change_no_number(tmp_path):
    folder = do(tmp_path / "run", *SMALL)
    (folder / "run.json").unlink()
    write_record(folder, *SMALL)
    with pytest.raises(GradlabError, match=r"own config, which has model\.depth=4, not 9$"):
        resume.resume(str(folder), overrides=[f"train.resume={folder}", "model.depth=9"], dirs=[CONFIGS])
    resume.resume(str(folder), overrides=["model.depth=4", "figures=true", "train.checkpoint_every=30"], dirs=[CONFIGS])
    assert (folder / "figures" / "loss.png").exists()
    with pytest.raises(GradlabError, match=r"no run to resume: .*config\.yaml is missing"):
        resume.resume(str(tmp_path / "none"), overrides=[], dirs=[CONFIGS])


def write_record(folder: Path, *overrides: str) -> None:
    """Write Hydra's files into a run's folder."""
    command = [sys.executable, "-m", "gradlab.cli", *overrides, "--cfg", "all"]
    whole = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    cfg = OmegaConf.create(whole)
    (folder / ".hydra").mkdir()
    hydra = cfg.pop("hydra")
    OmegaConf.save(cfg, folder / ".hydra" / "config.yaml")
    OmegaConf.save({"hydra": hydra}, folder / ".hydra" / "hydra.yaml")
    OmegaConf.save(list(overrides), folder / ".hydra" / "overrides.yaml")


@pytest.mark.slow
def test_ten_kills_at_random_moments(tmp_path):
    """Real processes are killed by SIGKILL, and each resumes the last one with `train.resume`."""
    config = ["train.steps=4000", "train.checkpoint_every=100", "probe.every=3", "optimizer=adam", "clipping=zclip",
              "residual=stochastic_depth", "model.depth=6"]  # fmt: skip
    gradlab = [sys.executable, "-m", "gradlab.cli"]
    started = time.monotonic()
    subprocess.run([*gradlab, *config, "hydra.run.dir=whole"], cwd=tmp_path, check=True, capture_output=True)
    seconds = time.monotonic() - started
    moments = random.Random(time.time_ns())
    command, killed, resumed_at = [*gradlab, *config, "hydra.run.dir=cut"], 0, []
    while killed < 10:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        wait_until(lambda: (tmp_path / "cut" / ".hydra" / "overrides.yaml").exists(), process)
        try:
            process.wait(moments.uniform(0.0, max(10.0, seconds / 2)))
            shutil.rmtree(tmp_path / "cut")  # it finished before the kill: start again
            command = [*gradlab, *config, "hydra.run.dir=cut"]
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
            command = [*gradlab, "train.resume=cut"]
        resumed_at += [line for line in process.communicate()[0].splitlines() if line.startswith("resuming")]
    subprocess.run([*gradlab, "train.resume=cut"], cwd=tmp_path, check=True)
    assert resumed_at
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"cut", "whole"}
    assert {path.name for path in (tmp_path / "cut").iterdir()} == {
        path.name for path in (tmp_path / "whole").iterdir()
    }
    records = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("cut", "whole")]
    assert records[0]["metrics"] == records[1]["metrics"]


@pytest.mark.slow
def test_a_killed_sweep_is_resumed(tmp_path):
    command = [sys.executable, "-m", "gradlab.cli", "-m", "seed=0,1", "hydra.sweep.dir=sweep", "figures=false",
               "train.steps=3000", "train.checkpoint_every=50"]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    wait_until(lambda: list(tmp_path.glob("sweep/*seed=1*/checkpoint.pt")), process)
    process.kill()
    process.wait()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "1 of 2 runs are complete already" in again
    assert again.count("resuming at step") == 1
    assert "2 completed, 0 diverged, 0 failed" in again
