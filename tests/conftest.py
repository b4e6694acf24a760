import os
import random
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

from gradlab.cli import main
from gradlab.run.execute import execute
from tests.support.made_up import make_run
from tests.support.running import Run, compose_config


@pytest.fixture(autouse=True)
def same_start() -> Iterator[None]:
    """Begin each test with the same random numbers, environment and one thread, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with patch.dict(os.environ):  # a command called in this process sets HYDRA_FULL_ERROR
        yield


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    """Do a run in this process, as the command line would with these overrides."""
    counter = iter(range(1000))

    def do(*overrides: str) -> Run:
        folder = tmp_path / f"run{next(counter)}"
        folder.mkdir()
        cfg = compose_config("figures=false", *overrides)
        execute(cfg, folder, overrides=overrides, choices={})
        return Run(folder)

    return do


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., Path]:
    """Write the tables of a made-up run."""
    return lambda *, name="run", **shape: make_run(tmp_path / name, **shape)


@pytest.fixture
def call(monkeypatch, tmp_path, capsys):
    """Run the command line in this process, with a job that only checks the config."""

    def check_only(cfg):
        from gradlab.config import build

        build.check(cfg)
        return 0.0

    execute = types.ModuleType("gradlab.run.execute")
    execute.run = check_only
    monkeypatch.setitem(sys.modules, "gradlab.run.execute", execute)
    monkeypatch.setattr("gradlab.cli.command.WANTS_TRACEBACK", False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        from hydra.core.global_hydra import GlobalHydra

        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", ["gradlab", *arguments])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
