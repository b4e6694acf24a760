"""Composing configs and doing runs in the test's own process."""

from pathlib import Path

import pandas as pd
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from gradlab import cli, schema


def compose_config(*overrides: str) -> DictConfig:
    schema.register()
    with initialize_config_dir(config_dir=str(cli.CONFIGS), version_base="1.3"):
        return compose("config", overrides=list(overrides))


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
