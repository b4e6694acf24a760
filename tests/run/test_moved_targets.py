"""Configs saved before a target moved can still be run, resumed and reused."""

import sys
from types import ModuleType

import pytest
from tests.support.running import compose_config

from gradlab import optim
from gradlab.api.explain import read_config
from gradlab.artifacts.moved import MOVED, with_current_names, with_first_names
from gradlab.artifacts.record import load_run
from gradlab.config import factories
from gradlab.errors import GradlabError
from gradlab.optim import clipping
from gradlab.run import checkpoint
from gradlab.run.execute import execute

OLD, BETWEEN, NEW = "gradlab.optim.clipping.clip_norm", "gradlab.optim.passing", "gradlab.optim.new_place.clip_norm"
SMALL = ("clipping=norm", "model.depth=3", "model.width=8", "train.steps=6", "figures=false")


@pytest.fixture
def move(monkeypatch):
    """Move the clipping target twice, through a path that no longer exists, and return the calls at the last path."""
    calls = []

    def clip_norm(named_parameters, *, max_norm: float) -> None:
        calls.append(max_norm)
        getattr(clipping, OLD.rpartition(".")[2])(named_parameters, max_norm=max_norm)

    def act():
        place = ModuleType("gradlab.optim.new_place")
        place.clip_norm = clip_norm
        clip_norm.__module__ = place.__name__
        monkeypatch.setitem(sys.modules, place.__name__, place)
        monkeypatch.setattr(optim, "new_place", place, raising=False)
        monkeypatch.setattr(factories, "_factories", {})  # the cache may hold the path of an earlier test
        monkeypatch.setitem(MOVED, OLD, BETWEEN)
        monkeypatch.setitem(MOVED, BETWEEN, NEW)
        return calls

    return act


def test_a_saved_config_is_built_from_the_new_place(tmp_path, move):
    calls = move()
    execute(compose_config(*SMALL), tmp_path, choices={})
    assert len(calls) == 6


@pytest.mark.parametrize("target", [OLD, BETWEEN, NEW])
def test_a_run_from_before_the_move_is_the_same_run(tmp_path, move, capsys, target):
    execute(compose_config(*SMALL), tmp_path, choices={})
    before = load_run(tmp_path)["fingerprint"]
    calls = move()
    cfg = compose_config(*SMALL, f"clipping._target_={target}")
    execute(cfg, tmp_path, choices={}, resume=True)
    assert load_run(tmp_path)["fingerprint"] == before
    assert not calls  # complete already
    assert cfg.clipping._target_ == NEW


def test_a_run_is_resumed_after_the_move(tmp_path, move, monkeypatch):
    saving, save = (*SMALL, "train.checkpoint_every=4"), checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda path, loop, **rest: loop.step == 4 and save(path, loop, **rest))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
        execute(compose_config(*saving), folder, choices={})
    (cut / "run.json").unlink()  # as if it had been killed after its checkpoint of step 4
    calls = move()
    execute(compose_config(*saving), cut, choices={}, resume=True)
    assert len(calls) == 2
    assert (cut / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()


def test_another_target_is_another_run(tmp_path, move):
    execute(compose_config(*SMALL), tmp_path, choices={})
    move()
    with pytest.raises(GradlabError, match="another config"):
        execute(compose_config(*SMALL, "clipping=value"), tmp_path, choices={}, resume=True)


def test_names_are_replaced_wherever_a_node_stands(move):
    move()
    config = {"a": [{"_target_": OLD, "b": {"_target_": "torch.nn.ReLU"}}], "text": OLD}
    current = with_current_names(config)
    assert current == {"a": [{"_target_": NEW, "b": {"_target_": "torch.nn.ReLU"}}], "text": OLD}
    assert with_first_names(current) == config


def test_an_old_run_is_explained_under_its_new_names(tmp_path, move):
    hydra = tmp_path / ".hydra"
    hydra.mkdir()
    (hydra / "config.yaml").write_text(f"clipping:\n  _target_: {OLD}\n")
    (hydra / "hydra.yaml").write_text("hydra:\n  runtime:\n    choices: {}\n")
    (hydra / "overrides.yaml").write_text("[]\n")
    move()
    assert read_config(tmp_path)[0]["clipping"]["_target_"] == NEW
