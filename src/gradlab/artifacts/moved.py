"""Targets that moved to another module, so that saved configs stay loadable."""

from collections.abc import Mapping
from typing import Any

# Old path of a `_target_` to its new path. A target that moves needs a line here: saved configs hold the old path.
MOVED: dict[str, str] = {}


def with_current_names(config: Any) -> Any:
    """Return a plain config in which every `_target_` has its current path, which can be imported."""
    return _renamed(config, MOVED)


def with_first_names(config: Any) -> Any:
    """Return a plain config in which every `_target_` has its first path.

    Fingerprints use the first paths, so that moving a target does not change the fingerprint of a saved run.
    """
    return _renamed(config, {new: old for old, new in MOVED.items()})


def _renamed(config: Any, names: Mapping[str, str]) -> Any:
    if not names:
        return config
    if isinstance(config, Mapping):
        items = {key: _renamed(value, names) for key, value in config.items()}
        target = items.get("_target_")
        while isinstance(target, str) and target in names:
            target = items["_target_"] = names[target]
        return items
    return [_renamed(item, names) for item in config] if isinstance(config, list | tuple) else config
