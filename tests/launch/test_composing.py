"""Configs from the cache equal those that Hydra composes for each run."""

import pickle
import subprocess
import sys
from itertools import product

import pytest
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from tests.support.running import make_loader

from gradlab.launch import composing
from gradlab.launch.composing import Composer


@pytest.fixture(scope="module")
def loader():
    return make_loader()


@pytest.fixture(scope="module")
def master(loader):
    return loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)


def text(config) -> str:
    return OmegaConf.to_yaml(config)


@pytest.mark.parametrize(
    "overrides",
    [
        ["seed=3", "model=gru", "optimizer.lr=1e-3", "optimizer=adam"],
        ["optimizer.betas=[0.8,0.9]", "optimizer=adam", "train.steps=12"],
        ["probe.layers=[stem,head]", "train=smoke", "train.steps=7", "hydra.job.chdir=true"],
        ["+model.new=1", "seed=1"],
        ["experiment=amsgrad", "figures=false", "activation=tanh"],
    ],
)
def test_the_config_equals_that_of_hydra(loader, master, overrides):
    composer = Composer(loader)
    for order in (overrides, overrides[::-1]):  # the second time from the cache
        ours, theirs = (each.load_sweep_config(master, list(order)) for each in (composer, loader))
        assert text(ours) == text(theirs)


@pytest.mark.parametrize("wrong", ["seed=x", "train.stepz=1", "no_such=1", "activation=no_such", "optimizer.no=1"])
def test_errors_are_those_of_hydra(loader, master, wrong):
    messages = []
    for each in (loader, Composer(loader)):
        with pytest.raises(HydraException) as caught:
            each.load_sweep_config(master, ["seed=1", wrong])
        messages.append((str(caught.value), str(caught.value.__cause__)))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("overrides", [["seed=3", "optimizer=adam", "optimizer.lr=1e-3"], ["train.steps=12"]])
def test_without_the_private_function_hydra_composes_each_run(loader, master, monkeypatch, overrides):
    monkeypatch.setattr(composing, "find_override_function", lambda: None)
    composer, calls = Composer(loader), []
    theirs = loader.load_sweep_config(master, list(overrides))
    monkeypatch.setattr(loader, "load_sweep_config", _counting(loader.load_sweep_config, calls))
    for _ in range(2):
        assert text(composer.load_sweep_config(master, list(overrides))) == text(theirs)
    assert len(calls) == 2


def test_a_sweep_runs_without_the_private_function(tmp_path):
    """In a process of its own, by the command `gradlab`."""
    code = (
        "from gradlab.launch import composing; composing.find_override_function = lambda: None;"
        "from gradlab.cli import main; main()"
    )
    runs = ("-m", "seed=0,1", "train=smoke", "train.steps=2", "train.eval_every=0", "model.depth=2", "figures=false")
    command = [sys.executable, "-c", code, *runs, "hydra.sweep.dir=s"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 completed, 0 diverged, 0 failed: s" in done.stdout


def test_files_are_read_once_for_each_choice_of_options(loader, master, monkeypatch):
    composer, calls = Composer(loader), []
    monkeypatch.setattr(loader, "load_sweep_config", _counting(loader.load_sweep_config, calls))
    for activation, seed in product(("tanh", "relu"), range(5)):
        assert composer.load_sweep_config(master, [f"activation={activation}", f"seed={seed}"]).seed == seed
    assert len(calls) == 2


def test_the_cache_is_pickled_to_other_processes(loader, master, monkeypatch):
    composer = Composer(loader)
    composer.load_sweep_config(master, ["activation=tanh", "seed=1"])
    there, calls = pickle.loads(pickle.dumps(composer)), []
    kind = type(loader)
    monkeypatch.setattr(kind, "load_sweep_config", _counting(kind.load_sweep_config, calls))
    assert there.load_sweep_config(master, ["activation=tanh", "seed=2"]).seed == 2
    assert not calls


def _counting(function, calls):
    def call(*args):
        calls.append(args)
        return function(*args)

    return call
