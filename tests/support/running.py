"""Composing configs and doing runs in the test's own process."""

from functools import cache
from pathlib import Path

import pandas as pd
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from gradlab.config import schema
from gradlab.config.hydra_compat import INITIALIZE_OPTIONS
from gradlab.config.paths import CONFIGS
from gradlab.launch.composing import Composer


def compose_config(*overrides: str) -> DictConfig:
    """Return the config of a run; as in a sweep, its files are read once for each choice of options."""
    composer, master = _composer()
    cfg = composer.load_sweep_config(master, list(overrides))
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


def make_loader() -> ConfigLoader:
    """Return Hydra's own loader of the configs, as a command has it."""
    setup_globals()
    schema.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIGS), **INITIALIZE_OPTIONS):
        return GlobalHydra.instance().config_loader()


@cache
def _composer() -> tuple[Composer, DictConfig]:
    loader = make_loader()
    return Composer(loader), loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)


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
