from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gradlab.run.execute import execute
from tests.support.made_up import make_run
from tests.support.running import Run, compose_config

torch.set_num_threads(1)


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
