"""Which runs of a sweep are one tensor program, and why a run is none."""

import json
from collections.abc import Mapping
from typing import Any

from gradlab.artifacts.fingerprint import decisive_part
from gradlab.config.build import AUTO

# What decides about numbers only: where the weights start, the order of the data, how the learning rate goes.
_NUMBERS = {"seed", "initializer", "recurrent_initializer", "lr_scheduler", "lr_range", "diagnosis"}


def obstacle(config: Mapping[str, Any]) -> str | None:
    """Say what in a plain config cannot be fused; None where nothing is known to stand against it."""
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
    """Return what two plain configs share just when their runs may be trained as one tensor program.

    That is everything but the seed, the initializers, the schedule, and every number of the optimizer and the clipping.
    """
    parts = {key: value for key, value in decisive_part(config).items() if key not in _NUMBERS}
    parts["model"] = {key: value for key, value in parts["model"].items() if key not in _NUMBERS}
    parts["data"] = {key: value for key, value in parts["data"].items() if key != "seed"}
    momentum = parts["optimizer"].get("momentum", 0) != 0  # without it there is no buffer
    parts["optimizer"] = _without_numbers(parts["optimizer"]) | {"momentum": momentum}
    parts["clipping"] = _without_numbers(parts["clipping"])
    return json.dumps(parts, sort_keys=True, default=str)


def course(config: Mapping[str, Any]) -> str:
    """Return what two configs share just when their optimizers have the same numbers at every step."""
    return json.dumps([config["optimizer"], config["lr_scheduler"]], sort_keys=True, default=str)


def _without_numbers(node: Mapping[str, Any]) -> dict[str, Any]:
    return {key: None if _is_number(value) else value for key, value in node.items()}


def _is_number(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_number(item) for item in value)
    return isinstance(value, int | float) and not isinstance(value, bool)
