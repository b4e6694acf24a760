"""A run that is cut off and gone on with is the run that was never cut."""

from pathlib import Path

import pytest
import torch

from gradlab import job
from gradlab.probe.probe import Probe
from running import compose_config

SMALL = ("model.depth=4", "model.width=12", "train.steps=90", "train.eval_every=20", "probe.every=7", "figures=false",
         "train.checkpoint_every=8")  # fmt: skip


class Killed(BaseException):
    """What no `except Exception` catches, as nothing catches SIGKILL."""


@pytest.fixture
def kill(monkeypatch):
    """Let the next run end in the middle of a step."""
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
    job.execute(compose_config(*overrides), folder, overrides=overrides, choices={}, resume=resume)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """The run's tables as bytes, and all that its checkpoint holds of the training."""
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


CONFIGS = {
    "adam": ("optimizer=adam", "lr_scheduler=plateau", "lr_scheduler.patience=0", "clipping=autoclip"),
    "muon": ("optimizer=muon", "lr_scheduler=loss_restart", "lr_scheduler.threshold=2", "clipping=zclip",
             "clipping.warmup_steps=20"),
    "dropped blocks": ("residual=stochastic_depth", "normalization=batch_norm", "lr_scheduler=one_cycle"),
    "augmented": ("model=cnn", "model.stages=1", "data=fake_images", "data.size=8", "data.samples=64",
                  "train.batch_size=16", "lr_scheduler=warm_restarts", "model.auxiliary_every=2"),
}  # fmt: skip


@pytest.mark.parametrize("overrides", CONFIGS.values(), ids=CONFIGS)
def test_a_run_cut_anywhere_ends_as_if_it_had_not_been(tmp_path, kill, overrides):
    whole = contents(do(tmp_path / "whole", *SMALL, *overrides))
    folder = tmp_path / "cut"
    for step in (5, 37, 64, 89):  # before the first checkpoint, between two, just after one, in the last step
        kill(step)
        with pytest.raises(Killed):
            do(folder, *SMALL, *overrides)
        for path in folder.glob("*.csv"):
            path.open("a").write("63,1,half a li")
    kill(-1)
    do(folder, *SMALL, *overrides, resume=True)
    assert contents(folder) == whole
