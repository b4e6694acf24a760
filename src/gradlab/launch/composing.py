"""The configs of a sweep, composed once for each distinct choice of options; plain values are put on top.

Hydra composes a config from its files for every run, and does it twice: once to see whether it can, once to use it.
Here the files are read again only where another option of a group is chosen. Values go through Hydra's own function, so
what is accepted, how it is converted and what an error says are the same.
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
    """Takes the place of a config loader for the runs of one sweep.

    Args:
        loader: Hydra's own, which answers for everything else too.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._groups: set[str] | None = None
        # Pickled, because that makes a copy six times as fast as copy.deepcopy does.
        self._known: dict[tuple[str, ...], bytes] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # among them those that pickle asks for before there is a loader
            raise AttributeError(name)
        return getattr(self._loader, name)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Return the config of one run, as Hydra composes it.

        Args:
            master_config: The config of the sweep.
            sweep_overrides: Overrides of the run.

        Raises:
            ConfigCompositionException: An override is refused.
        """
        apply = find_override_function()
        parsed = OverridesParser.create().parse_overrides(overrides=sweep_overrides)
        ordered = any(each.is_add() or each.is_force_add() or each.is_delete() for each in parsed)  # their order counts
        if ordered or apply is None:
            return self._loader.load_sweep_config(master_config, sweep_overrides)
        plain = [each for each in parsed if self._is_plain(each)]
        chosen = [text for text, each in zip(sweep_overrides, parsed, strict=True) if not self._is_plain(each)]
        config = self._copy(master_config, chosen)
        try:
            apply(plain, config)
        except OmegaConfBaseException as error:
            raise ConfigCompositionException() from error
        write_own_overrides(config, [each for each in parsed if not each.is_hydra_override()])
        OmegaConf.copy_cache(from_config=master_config, to_config=config)
        return config

    def _copy(self, master_config: DictConfig, chosen: Sequence[str]) -> DictConfig:
        key = tuple(chosen)
        if key not in self._known:
            self._known[key] = pickle.dumps(self._loader.load_sweep_config(master_config, list(chosen)))
        return pickle.loads(self._known[key])

    def _is_plain(self, override: Override) -> bool:
        """Whether an override sets a value, and does not choose the option of a group."""
        if self._groups is None:
            self._groups = set(self._loader.list_groups(""))
        key = override.key_or_group
        if override.is_hydra_override() or override.package is not None or "/" in key:
            return False
        return "." in key or key not in self._groups


def compose_once(context: HydraContext) -> None:
    """Let a sweep's configs be composed once for each choice of options, in its sweeper and its launcher alike.

    What was composed travels with the context to a launcher's processes.
    """
    loader: Any = Composer(copy.copy(context.config_loader))
    context.config_loader = loader
