"""Which runs of a sweep can share one tensor program, and the reason why a run cannot be fused."""

import json
from collections.abc import Mapping
from typing import Any

from gradlab.artifacts.fingerprint import decisive_part
from gradlab.config.build import AUTO

# Groups that change numbers only: initial weights, order of the data, learning rates over time.
_NUMBERS = {"seed", "initializer", "recurrent_initializer", "lr_scheduler", "lr_range", "diagnosis"}


def obstacle(config: Mapping[str, Any]) -> str | None:
    """Return the setting of a plain config that cannot be fused; None if there is none."""
    train = config["train"]
    for name, usual in (("compile", False), ("autocast", "none"), ("accumulate", 1), ("checkpoint_every", 0)):
        if train[name] != usual:
            return f"train.{name}={train[name]}"
    for name in ("resume", "lr_range", "freeze", "grow"):
        if train[name]:
            return f"train.{name}"
    if config["probe"]["neighbours"]:
        return "probe.neighbours"
    if config["optimizer"].get("lr") == AUTO:
        return "optimizer.lr=auto"
    if config["model"].get("auxiliary_every"):
        return "auxiliary heads"
    return f"logger {', '.join(config['logger'])}" if config["logger"] else None


def program(config: Mapping[str, Any]) -> str:
    """Return a key that is equal for two plain configs exactly if their runs may be fused.

    It covers everything but seed, initializers, schedule, and the numbers of optimizer and clipping.
    """
    parts = {key: value for key, value in decisive_part(config).items() if key not in _NUMBERS}
    parts["model"] = {key: value for key, value in parts["model"].items() if key not in _NUMBERS}
    parts["data"] = {key: value for key, value in parts["data"].items() if key != "seed"}
    momentum = parts["optimizer"].get("momentum", 0) != 0  # without momentum there is no buffer
    parts["optimizer"] = _without_numbers(parts["optimizer"]) | {"momentum": momentum}
    parts["clipping"] = _without_numbers(parts["clipping"])
    return json.dumps(parts, sort_keys=True, default=str)


def course(config: Mapping[str, Any]) -> str:
    """Return a key that is equal for two configs exactly if their optimizers have the same numbers at every step."""
    return json.dumps([config["optimizer"], config["lr_scheduler"]], sort_keys=True, default=str)


def _without_numbers(node: Mapping[str, Any]) -> dict[str, Any]:
    return {key: None if _is_number(value) else value for key, value in node.items()}


def _is_number(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_number(item) for item in value)
    return isinstance(value, int | float) and not isinstance(value, bool)
