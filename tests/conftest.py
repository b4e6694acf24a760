from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from gradlab import cli, job, schema

torch.set_num_threads(1)


def compose_config(*overrides: str) -> DictConfig:
    schema.register()
    with initialize_config_dir(config_dir=str(cli.CONFIGS), version_base="1.3"):
        return compose("config", overrides=list(overrides))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., "Run"]:
    """Do a run in this process, as the command line would with these overrides."""
    counter = iter(range(1000))

    def do(*overrides: str) -> Run:
        folder = tmp_path / f"run{next(counter)}"
        folder.mkdir()
        cfg = compose_config("figures=false", *overrides)
        job.execute(cfg, folder, overrides=overrides, choices={})
        return Run(folder)

    return do


class Run:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def gradients(self) -> pd.DataFrame:
        return pd.read_csv(self.folder / "gradients.csv")

    @property
    def metrics(self) -> pd.DataFrame:
        return pd.read_csv(self.folder / "metrics.csv")

    def hidden(self, step: int = 0) -> pd.DataFrame:
        """Rows of the hidden layers on the main path at one step, by depth."""
        table = self.gradients
        table = table[(table.step == step) & (table.role == "main")].set_index("depth_index")
        return table.iloc[:-1]
