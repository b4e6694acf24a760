"""Whether two runs must give the same numbers."""

import hashlib
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from gradlab import __version__
from gradlab.artifacts.moved import with_first_names

# What may differ between two runs that would still write the same numbers.
_NOT_FINGERPRINTED = {"hydra", "logger", "follow", "gate", "figures", "objective"}
_NOT_FINGERPRINTED_OF_TRAIN = {"checkpoint", "checkpoint_every", "resume"}
_ABSENT = "absent"
_KNOWN_PACKAGES = {"gradlab", "torch", "torchvision"}  # their versions stand in the environment


def compute_fingerprint(config: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    """Return the sha256 that two runs share just when they must give the same numbers.

    Args:
        config: The resolved config as plain dictionaries.
        sources: Source text of each ``_target_`` that belongs to neither gradlab nor torch, by its name.
    """
    named = with_first_names(decisive_part(config))
    text = json.dumps([named, dict(sources), __version__], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def decisive_part(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a plain config that decides about the numbers: no figures, loggers or checkpoints."""
    kept = {key: value for key, value in config.items() if key not in _NOT_FINGERPRINTED}
    if "train" in kept:
        kept["train"] = {key: value for key, value in kept["train"].items() if key not in _NOT_FINGERPRINTED_OF_TRAIN}
    return kept


def differences(there: Any, here: Any, key: str = "") -> list[str]:
    """Say which dotted keys of two plain configs differ, as ``model.depth=10, not 50``."""
    return [f"{path}={_shown(old)}, not {_shown(new)}" for path, old, new in differing_keys(there, here, key)]


def differing_keys(there: Any, here: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield each dotted key at which two plain objects differ, with its two values; one may be ``absent``."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for name in dict.fromkeys([*there, *here]):
            path = f"{key}.{name}".lstrip(".")
            yield from differing_keys(there.get(name, _ABSENT), here.get(name, _ABSENT), path)
    elif there != here:
        yield key, there, here


def foreign_sources(config: Any) -> dict[str, str]:
    """Return the source behind every ``_target_`` in a plain config that belongs to neither gradlab nor torch.

    That is the text of its module, helper functions and all; for a compiled module its version.
    """
    return {target: _module_source(target) for target in foreign_targets(config)}


def foreign_targets(config: Any) -> list[str]:
    """Return every ``_target_`` in a plain config that belongs to neither gradlab nor torch, each once."""
    if isinstance(config, Mapping):
        target = config.get("_target_", "gradlab")
        own = [] if target.split(".")[0] in _KNOWN_PACKAGES else [target]
        return list(dict.fromkeys([*own, *(name for value in config.values() for name in foreign_targets(value))]))
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
