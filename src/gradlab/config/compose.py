"""Composing a config outside Hydra's own command."""

from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from gradlab.config.hydra_compat import INITIALIZE_OPTIONS


def compose(overrides: Sequence[str], dirs: Sequence[Path], *, with_hydra: bool = False) -> DictConfig:
    """Return the config that overrides compose to.

    Args:
        overrides: The overrides of a command line.
        dirs: The folders of configs, gradlab's first.
        with_hydra: Whether the config keeps its ``hydra`` node.

    Raises:
        HydraException: An override cannot be read or does not fit.
    """
    search = f"hydra.searchpath=[{','.join(f'file://{folder.resolve()}' for folder in dirs[1:])}]"
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(dirs[0]), **INITIALIZE_OPTIONS):
        return hydra.compose("config", overrides=[search, *overrides], return_hydra_config=with_hydra)
