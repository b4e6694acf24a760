"""What the rules have to know of a run's config."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UNKNOWN = ""
_COPIED = 10  # symbols of the copy memory, each to be remembered for the pause and these


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Plain facts about a run; the defaults are those of a run of which nothing is known but its tables.

    Attributes:
        activation: What the activation's target is called in small letters, such as ``relu``; "" where unknown.
        normalization: The same of the normalization.
        residual: The same of the residual blocks.
        trains: Whether weights are updated.
        freezes: Whether some layers are meant not to learn.
        lr: Learning rate; None where unknown.
        lag: Time steps over which the task asks to remember, at least; None where it does not say.
        chance: Loss of the best answer that does not look at its input; None where unknown.
        chance_accuracy: Its accuracy, in [0, 1].
        smallest: Smallest normal number of the gradients' type.
    """

    activation: str = UNKNOWN
    normalization: str = UNKNOWN
    residual: str = UNKNOWN
    trains: bool = True
    freezes: bool = False
    lr: float | None = None
    lag: int | None = None
    chance: float | None = None
    chance_accuracy: float | None = None
    smallest: float = 1.1754943508222875e-38


def read_setting(config: Mapping[str, Any], *, chance: Mapping[str, float | None]) -> Setting:
    """Return what the rules have to know of a config.

    Args:
        config: The config as plain dictionaries, its interpolations resolved; empty where there is none.
        chance: ``loss`` and ``accuracy`` of the best answer that does not look at its input, as far as known.
    """
    train, optimizer = (config.get(group) or {} for group in ("train", "optimizer"))
    lr = optimizer.get("lr")
    wide = {"smallest": 2.2250738585072014e-308} if train.get("dtype") == "float64" else {}
    gated = _called(config, "model") in ("lstm", "gru")
    return Setting(
        activation=UNKNOWN if gated else _called(config, "activation"),
        normalization=_called(config, "normalization"),
        residual=_called(config, "residual"),
        trains=not train.get("measure_only", False),
        freezes=bool(train.get("freeze")),
        lr=float(lr) if isinstance(lr, int | float) else None,
        lag=_lag(config.get("data") or {}),
        chance=chance.get("loss"),
        chance_accuracy=chance.get("accuracy"),
        **wide,
    )


def _called(config: Mapping[str, Any], group: str) -> str:
    """Return the last part of a group's target in small letters."""
    return str((config.get(group) or {}).get("_target_", UNKNOWN)).rpartition(".")[2].lower()


def _lag(data: Mapping[str, Any]) -> int | None:
    """Return over how many time steps a sequence task asks to remember, at least."""
    name, length = str(data.get("_target_", "")), data.get("length")
    if not isinstance(length, int):
        return None
    if name.endswith(".adding"):
        return length // 2  # the first number stands in the first half, the answer is asked for at the end
    return length + _COPIED if name.endswith(".copy_memory") else None
