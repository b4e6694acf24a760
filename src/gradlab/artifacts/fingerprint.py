"""Fingerprint of a run: equal for two runs that must give the same numbers."""

import hashlib
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from gradlab import __version__
from gradlab.artifacts.moved import with_first_names

# Keys that do not change a run's numbers.
_NOT_FINGERPRINTED = {"hydra", "logger", "follow", "gate", "figures", "objective", "overwrite"}
_NOT_FINGERPRINTED_OF_TRAIN = {"checkpoint", "checkpoint_every", "resume"}
_ABSENT = "absent"
_KNOWN_PACKAGES = {"gradlab", "torch", "torchvision"}  # identified by version, not by source


def compute_fingerprint(config: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    """Return the sha256 of the decisive config, the user's sources and gradlab's version, as 64 hex digits.

    Args:
        config: The resolved config as plain dictionaries.
        sources: Target to source text, for each ``_target_`` outside gradlab and torch.
    """
    named = with_first_names(decisive_part(config))
    text = json.dumps([named, dict(sources), __version__], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def decisive_part(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a plain config that determines the numbers, without figures, loggers and checkpoints."""
    kept = {key: value for key, value in config.items() if key not in _NOT_FINGERPRINTED}
    if "train" in kept:
        kept["train"] = {key: value for key, value in kept["train"].items() if key not in _NOT_FINGERPRINTED_OF_TRAIN}
    return kept


def differences(there: Any, here: Any, key: str = "") -> list[str]:
    """Return one line for each dotted key at which two plain configs differ, such as ``model.depth=10, not 50``."""
    return [f"{path}={_shown(old)}, not {_shown(new)}" for path, old, new in differing_keys(there, here, key)]


def differing_keys(there: Any, here: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield each dotted key at which two plain objects differ, with both values; a missing one is ``absent``."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for name in dict.fromkeys([*there, *here]):
            path = f"{key}.{name}".lstrip(".")
            yield from differing_keys(there.get(name, _ABSENT), here.get(name, _ABSENT), path)
    elif there != here:
        yield key, there, here


def foreign_sources(config: Any) -> dict[str, str]:
    """Return target to source, for every ``_target_`` in a plain config outside gradlab and torch.

    The source is the text of the target's whole module, or the version of its package if the module is compiled.
    """
    return {target: _module_source(target) for target in foreign_targets(config)}


def foreign_targets(config: Any) -> list[str]:
    """Return the distinct ``_target_``s in a plain config that are outside gradlab and torch."""
    if isinstance(config, Mapping):
        target = config.get("_target_", "gradlab")
        here = [] if target.split(".")[0] in _KNOWN_PACKAGES else [target]
        return list(dict.fromkeys([*here, *(name for value in config.values() for name in foreign_targets(value))]))
    if isinstance(config, list | tuple):
        return list(dict.fromkeys(name for value in config for name in foreign_targets(value)))
    return []


def _module_source(target: str) -> str:
    parts = target.split(".")
    modules = (sys.modules.get(".".join(parts[:length])) for length in range(len(parts), 0, -1))
    module = next(module for module in modules if module is not None)
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        return str(getattr(sys.modules[parts[0]], "__version__", ""))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
