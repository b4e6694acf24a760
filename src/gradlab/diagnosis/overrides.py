"""Putting overrides together: which of them exclude each other, and what a remedy replaces on a command line."""

from collections.abc import Iterable, Sequence

# Groups whose options are not exchanged for one another key by key: another model keeps depth and width.
_KEPT = frozenset({"model", "data", "train", "probe"})


def combined(base: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return a command line with some of its overrides replaced.

    What ``overrides`` sets anew goes, and with a group's option the keys of the option before: ``optimizer.lr=0.5`` was
    said of another optimizer.

    Args:
        base: The command line.
        overrides: What comes on top of it.
    """
    keys = {_key(text) for text in overrides}
    gone = keys | {f"{key}." for key in keys if "." not in key and key not in _KEPT}
    return [*(text for text in base if not _falls_under(_key(text), gone)), *overrides]


def exclusive(first: Iterable[str], second: Iterable[str]) -> bool:
    """Whether two remedies set the same group or key, or one a key of the other's group.

    Another model and another activation exclude each other, too: gated cells have activations of their own.
    """
    ours, theirs = ({_key(text) for text in some} for some in (first, second))
    if "model" in ours | theirs and "activation" in ours | theirs:
        return True
    return any(a == b or a.startswith(f"{b}.") or b.startswith(f"{a}.") for a in ours for b in theirs)


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~").partition("@")[0]


def _falls_under(key: str, gone: Iterable[str]) -> bool:
    return any(key == each or (each.endswith(".") and key.startswith(each)) for each in gone)
