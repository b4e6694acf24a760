"""The typed root of every config: the settings that the runner itself owns.

The part groups (model, activation, ...) are untyped nodes: the signature of each node's `_target_` is its schema.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, cast

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from gradlab.errors import GradlabError
from gradlab.suggest import closest_key, did_you_mean, key_paths


def setting(default: Any, meaning: str, **limits: Any) -> Any:
    """A dataclass field that says what it means and what it allows.

    Args:
        default: The value of a config that does not mention the setting.
        meaning: One line for `gradlab --help`.
        **limits: `minimum` and `maximum` of a number, or the `choices` of a word.
    """
    return field(default=default, metadata={"meaning": meaning, **limits})


@dataclass
class Train:
    """How long, on what, and on which device the network is trained."""

    steps: int = setting(600, "optimizer steps", minimum=1)
    batch_size: int = setting(64, "samples in a mini-batch", minimum=1)
    device: str = setting("auto", "where to run; auto takes CUDA where there is one", choices=("auto", "cpu", "cuda"))
    dtype: str = setting("float32", "number type of parameters and data", choices=("float32", "float64"))
    threads: int = setting(1, "CPU threads; another number may change the last digits", minimum=1)
    eval_every: int = setting(100, "steps between evaluations on the test set; 0: never", minimum=0)
    decay_biases: bool = setting(
        True, "optimizer.weight_decay acts on biases and normalizations too, not on weights only"
    )
    measure_only: bool = setting(False, "forward and backward passes only, no optimizer update")
    checkpoint: bool = setting(True, "write checkpoint.pt at the end of the run")


@dataclass
class Probe:
    """What is recorded, and how often."""

    every: int = setting(10, "record every n-th step, the first and the last; 0: nothing", minimum=0)
    full_every: int = setting(10, "record every column at each n-th recorded step", minimum=1)
    layers: list[str] = field(
        default_factory=lambda: ["*"], metadata={"meaning": "name patterns of the layers to record"}
    )


@dataclass
class Root:
    """A whole config: the settings of the runner and one node for each group of parts."""

    seed: int = setting(0, "seed of every random number", minimum=0, maximum=2**32 - 1)
    figures: bool = setting(True, "draw the figures of the run")
    train: Train = field(default_factory=Train)
    probe: Probe = field(default_factory=Probe)
    data: Any = MISSING
    activation: Any = MISSING
    initializer: Any = MISSING
    recurrent_initializer: Any = MISSING
    normalization: Any = MISSING
    residual: Any = MISSING
    model: Any = MISSING
    clipping: Any = MISSING
    optimizer: Any = MISSING
    lr_scheduler: Any = MISSING
    diagnosis: Any = MISSING


TYPED_NODES: dict[str, type] = {"": Root, "train": Train, "probe": Probe}


def register() -> None:
    """Make the schema known to Hydra under the name that `configs/config.yaml` lists first."""
    ConfigStore.instance().store(name="schema", node=Root, provider="gradlab")


def settings() -> Iterator[tuple[str, Field[Any]]]:
    """Every typed setting as (dotted key, dataclass field)."""
    for node, schema in TYPED_NODES.items():
        for item in fields(schema):
            if "meaning" in item.metadata:
                yield _path(node, item.name), item


def defaults() -> Iterator[str]:
    """The default of every typed setting, as it would be written in YAML; in the order of `settings`."""
    for schema in TYPED_NODES.values():
        values = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.structured(schema)))
        yield from (json.dumps(values[item.name]) for item in fields(schema) if "meaning" in item.metadata)


def allowed(item: Field[Any]) -> str:
    """What a setting accepts, in words: `an integer of at least 1`."""
    if "choices" in item.metadata:
        return "one of " + ", ".join(item.metadata["choices"])
    nouns = {int: "an integer", bool: "true or false", str: "a word", list[str]: "a list of names"}
    low, high = item.metadata.get("minimum"), item.metadata.get("maximum")
    limits = [f"of at least {low}"] if low is not None else []
    limits += [f"at most {high}"] if high is not None else []
    return " ".join([nouns[item.type], " and ".join(limits)]).rstrip()  # pyright: ignore[reportArgumentType]


def check_settings(config: Mapping[str, Any]) -> None:
    """Check that the typed nodes hold their settings, all and no others, within their limits.

    Args:
        config: The whole config as plain dictionaries, without interpolations.

    Raises:
        GradlabError: A setting is unknown, missing, or outside its limits.
    """
    for node, schema in TYPED_NODES.items():
        values = config.get(node) if node else config
        names = [item.name for item in fields(schema)]
        for key in values if isinstance(values, Mapping) else ():
            if key not in names:
                path = _path(node, key)
                known = [other for other in key_paths(config) if other != path]
                raise GradlabError(f"unknown key {path}{did_you_mean(closest_key(path, known))}")
        for item in fields(schema):
            if not isinstance(values, Mapping) or item.name not in values:
                raise GradlabError(f"{_path(node, item.name)} is missing")
            if not _within(values[item.name], item):
                raise GradlabError(f"{_path(node, item.name)} must be {allowed(item)}, got {values[item.name]}")


def _within(value: Any, item: Field[Any]) -> bool:
    low, high, choices = (item.metadata.get(limit) for limit in ("minimum", "maximum", "choices"))
    return (low is None or value >= low) and (high is None or value <= high) and (choices is None or value in choices)


def _path(node: str, name: str) -> str:
    return f"{node}.{name}".lstrip(".")
