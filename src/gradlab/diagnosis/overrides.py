"""Combination of overrides: which exclude each other, and which a remedy replaces on a command line."""

from collections.abc import Iterable, Sequence

# Groups whose overridden keys stay when another option is chosen: another model keeps depth and width.
_KEPT = frozenset({"model", "data", "train", "probe"})


def combined(base: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return a command line with further overrides added and those that they replace removed.

    Replaced overrides are dropped. Choosing another option of a group also drops the keys of the old option, because
    ``optimizer.lr=0.5``, for example, was meant for another optimizer.

    Args:
        base: The command line.
        overrides: Overrides to add.
    """
    keys = {_key(text) for text in overrides}
    replaced = keys | {f"{key}." for key in keys if "." not in key and key not in _KEPT}
    return [*(text for text in base if not _is_replaced(_key(text), replaced)), *overrides]


def exclusive(first: Iterable[str], second: Iterable[str]) -> bool:
    """Return whether two remedies set the same group or key, or one sets a key of the other's group.

    A model and an activation also exclude each other, because gated cells have fixed activations.
    """
    first_keys, second_keys = ({_key(text) for text in overrides} for overrides in (first, second))
    if {"model", "activation"} <= first_keys | second_keys:
        return True
    return any(a == b or a.startswith(f"{b}.") or b.startswith(f"{a}.") for a in first_keys for b in second_keys)


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~").partition("@")[0]


def _is_replaced(key: str, replaced: Iterable[str]) -> bool:
    return any(key == item or (item.endswith(".") and key.startswith(item)) for item in replaced)
