"""The private names of Hydra and OmegaConf that gradlab uses, each behind a function with a public meaning.

No other module reaches for one; tests/config/test_hydra_private.py fails for each name that is missing. Each function
imports what it needs itself, so that a command that does not call it does not pay for the import.
"""

from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf


def flag_parser() -> ArgumentParser:
    """Return the parser of Hydra's own flags, such as ``--multirun``."""
    from hydra._internal.utils import get_args_parser

    return get_args_parser()


def basic_launcher() -> type[Launcher]:
    """Return Hydra's launcher of one run after another; its option has no public class."""
    from hydra._internal.core_plugins.basic_launcher import BasicLauncher

    return BasicLauncher


@contextmanager
def hydra_config(config: DictConfig) -> Iterator[None]:
    """Make a whole config the one that ``${hydra:…}`` reads inside the block.

    ``HydraConfig.set_config`` does so for good, and copies the config's hydra node.
    """
    current: Any = HydraConfig.instance()
    before, current.cfg = current.cfg, config
    try:
        yield
    finally:
        current.cfg = before


def find_override_function() -> Callable[[Sequence[Override], DictConfig], None] | None:
    """Return Hydra's function that writes parsed overrides into a composed config; None where it has moved.

    The function raises ConfigCompositionException, in Hydra's words, for an override that does not fit.
    """
    try:
        from hydra._internal.config_loader_impl import ConfigLoaderImpl
    except ImportError:
        return None
    return getattr(ConfigLoaderImpl, "_apply_overrides_to_config", None)


def write_own_overrides(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Write a run's overrides into its config's hydra node, where Hydra writes them.

    Hydra 1.3 also stores one text of all of them there, which Hydra 1.4 derives from the list when it is read.
    """
    config.hydra.overrides.task = [override.input_line for override in overrides]
    try:
        from hydra._internal.config_loader_impl import get_overrides_dirname
    except ImportError:
        return
    form = config.hydra.job.config.override_dirname
    config.hydra.job.override_dirname = get_overrides_dirname(
        overrides=list(overrides), kv_sep=form.kv_sep, item_sep=form.item_sep, exclude_keys=form.exclude_keys
    )


def write_yaml(content: Any, path: Path) -> None:
    """Write plain content as the bytes that ``OmegaConf.save`` would, in less than half the time with libyaml."""
    dumper = _dumper()
    if dumper is None:
        OmegaConf.save(OmegaConf.create(content), path)
        return
    text = yaml.dump(content, default_flow_style=False, allow_unicode=True, sort_keys=False, Dumper=dumper)
    path.write_text(text, encoding="utf-8")


@cache
def _dumper() -> type[Any] | None:
    """Return libyaml's dumper with OmegaConf's rules, such as quotes around a text that reads as a number."""
    try:
        from omegaconf._utils import get_omega_conf_dumper
    except ImportError:
        return None
    base: Any = getattr(yaml, "CDumper", yaml.Dumper)
    rules: Any = get_omega_conf_dumper()
    names = ("yaml_representers", "yaml_multi_representers")
    return type("Dumper", (base,), {name: getattr(rules, name) for name in names})
