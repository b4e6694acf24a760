"""Cache of a sweep's composed configs, one for each distinct choice of options; plain values are applied to a copy.

Hydra composes the config of every run from its files, twice: once to check it, once to use it. With the cache the files
are read only for a new choice of options. Values are applied by Hydra's own function, so that checks, conversions and
error messages are the same.
"""

import copy
import pickle
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gradlab.config.hydra_private import find_override_function, write_own_overrides


class Composer:
    """Config loader that caches the composed configs of one sweep.

    Args:
        loader: Hydra's config loader, to which all other calls are forwarded.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._groups: set[str] | None = None
        # Pickled configs by choice of options: unpickling is six times as fast as copy.deepcopy.
        self._known: dict[tuple[str, ...], bytes] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pickle looks up private names before self._loader exists
            raise AttributeError(name)
        return getattr(self._loader, name)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Return the config of one run, equal to the one that Hydra composes.

        Args:
            master_config: The config of the sweep.
            sweep_overrides: Overrides of the run.

        Raises:
            ConfigCompositionException: An override is refused.
        """
        apply = find_override_function()
        parsed = OverridesParser.create().parse_overrides(overrides=sweep_overrides)
        # Overrides that add or delete keys depend on their order.
        ordered = any(item.is_add() or item.is_force_add() or item.is_delete() for item in parsed)
        if ordered or apply is None:
            return self._loader.load_sweep_config(master_config, sweep_overrides)
        plain = [item for item in parsed if self._is_plain(item)]
        chosen = [text for text, item in zip(sweep_overrides, parsed, strict=True) if not self._is_plain(item)]
        config = self._copy(master_config, chosen)
        try:
            apply(plain, config)
        except OmegaConfBaseException as error:
            raise ConfigCompositionException() from error
        write_own_overrides(config, [item for item in parsed if not item.is_hydra_override()])
        OmegaConf.copy_cache(from_config=master_config, to_config=config)
        return config

    def _copy(self, master_config: DictConfig, chosen: Sequence[str]) -> DictConfig:
        key = tuple(chosen)
        if key not in self._known:
            self._known[key] = pickle.dumps(self._loader.load_sweep_config(master_config, list(chosen)))
        return pickle.loads(self._known[key])

    def _is_plain(self, override: Override) -> bool:
        """Whether an override sets a value, rather than choosing the option of a group."""
        if self._groups is None:
            self._groups = set(self._loader.list_groups(""))
        key = override.key_or_group
        if override.is_hydra_override() or override.package is not None or "/" in key:
            return False
        return "." in key or key not in self._groups


def compose_once(context: HydraContext) -> None:
    """Replace a sweep's config loader by a `Composer`, for its sweeper and its launcher alike.

    The cache is pickled with the context into the launcher's processes.

    Args:
        context: Hydra's context, changed in place.
    """
    loader: Any = Composer(copy.copy(context.config_loader))
    context.config_loader = loader
