"""The keys of a config, and the closest one to a mistyped key."""

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Any


def key_paths(config: Any, prefix: str = "") -> Iterator[str]:
    """Yield every dotted key of nested dictionaries, outermost first, without Hydra's own (`_target_` and its like)."""
    if isinstance(config, dict):
        for name, value in config.items():
            if not str(name).startswith("_"):
                yield f"{prefix}{name}"
                yield from key_paths(value, f"{prefix}{name}.")


def closest_key(key: str, known: Iterable[str]) -> str | None:
    """Return the known dotted key that a mistyped one most likely means; None where none is close.

    The last part of the name decides (`depth` and `mlp.dpeth` mean `model.depth`); the whole path breaks ties.
    """

    def likeness(candidate: str) -> tuple[float, float]:
        return _ratio(_leaf(key), _leaf(candidate)), _ratio(key, candidate)

    best = max(known, key=likeness, default=None)
    return best if best is not None and likeness(best)[0] >= 0.7 else None


def _leaf(key: str) -> str:
    return key.rpartition(".")[2].lower()


def _ratio(a: str, b: str) -> float:
    return SequenceMatcher(None, a, b).ratio()
