"""Hydra's own files of a run, ``.hydra/config.yaml``, ``hydra.yaml`` and ``overrides.yaml``.

Hydra writes them before it calls the task, over those of an earlier run in the folder. For a single run that is
deferred until the run begins to write, so that a config that is refused changes nothing.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from gradlab.config.hydra_private import write_yaml

_subdir: str | None = None  # hydra.output_subdir of the single run under way
_new = False  # whether the run's folder did not exist before
_NAMES = ("config", "hydra", "overrides")


def defer(config: DictConfig) -> None:
    """Keep Hydra from writing its files for the run that is about to start; `deferred` writes them.

    Args:
        config: The whole config with its ``hydra`` node, changed in place.
    """
    global _subdir, _new
    _subdir, _new = config.hydra.output_subdir, not Path(config.hydra.run.dir).exists()
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.output_subdir = None


def deferred(cfg: DictConfig, folder: Path) -> Callable[[], None]:
    """Return a function that writes the files that `defer` has kept Hydra from writing; in a sweep it does nothing.

    Args:
        cfg: The task's config.
        folder: The run's folder.
    """
    global _subdir
    subdir, _subdir = _subdir, None
    if subdir is None or HydraConfig.get().mode == RunMode.MULTIRUN:
        return lambda: None
    hydra: Any = OmegaConf.to_container(HydraConfig.get(), enum_to_str=True)
    hydra["output_subdir"] = subdir
    task, overrides = OmegaConf.to_container(cfg, enum_to_str=True), hydra["overrides"]["task"]
    return lambda: write(folder / subdir, task=task, hydra=hydra, overrides=overrides)


def remove_if_empty(folder: Path) -> None:
    """Remove the folder of a single run that was refused, if Hydra has created it and it is empty."""
    if _new:
        with suppress(OSError):
            folder.rmdir()


def write(folder: Path, *, task: Any, hydra: Any, overrides: Any) -> None:
    """Write the three files, as Hydra does.

    Args:
        folder: The folder for the files, ``.hydra`` in a run's folder.
        task: The config without its ``hydra`` node, as plain dictionaries.
        hydra: The ``hydra`` node, as plain dictionaries.
        overrides: The overrides of the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(_NAMES, (task, {"hydra": hydra}, overrides), strict=True):
        write_yaml(content, folder / f"{name}.yaml")
