"""The typed root of every config: the settings that the runner itself owns.

The part groups (model, activation, ...) are untyped nodes: the signature of each node's `_target_` is its schema.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from math import isfinite
from typing import Any, cast

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from gradlab.config.keys import closest_key, key_paths
from gradlab.errors import GradlabError, did_you_mean

MOST_THREADS = 1024  # torch starts each, whatever the machine has
OBJECTIVES = (
    "train_loss",
    "eval_loss",
    "eval_accuracy",
    "gradient_ratio_initial",
    "gradient_ratio_final",
    "decades_per_layer_initial",
    "decades_per_layer_final",
)


def setting(default: Any, meaning: str, **limits: Any) -> Any:
    """Return a dataclass field with its meaning and its limits.

    Args:
        default: The value of a config that does not mention the setting.
        meaning: One line for `gradlab --help`.
        **limits: `minimum`, `maximum` and `above` of a number, or the `choices` of a word.
    """
    return field(default=default, metadata={"meaning": meaning, **limits})


@dataclass
class Train:
    """How long, on what, and on which device the network is trained."""

    steps: int = setting(600, "optimizer steps", minimum=1)
    batch_size: int = setting(64, "samples in a mini-batch", minimum=1)
    device: str = setting("auto", "device of the run; auto: CUDA if there is one", choices=("auto", "cpu", "cuda"))
    dtype: str = setting("float32", "number type of parameters and data", choices=("float32", "float64"))
    autocast: str = setting(
        "none", "lower-precision number type of the matrix products", choices=("none", "bf16", "fp16")
    )
    tf32: bool = setting(False, "let CUDA use TF32 for products of float32")
    compile: bool = setting(False, "train with torch.compile; recorded steps take a second pass to measure")
    accumulate: int = setting(1, "mini-batches per optimizer step, whose gradients are averaged", minimum=1)
    threads: int = setting(1, "CPU threads; another number may change the last digits", minimum=1, maximum=MOST_THREADS)
    eval_every: int = setting(100, "steps between evaluations on the test set; 0: never", minimum=0)
    decay_biases: bool = setting(
        True, "apply optimizer.weight_decay to biases and normalizations too, not to weights only"
    )
    measure_only: bool = setting(False, "forward and backward passes only, no optimizer update")
    freeze: list[Any] = field(
        default_factory=list,
        metadata={"meaning": "layers to freeze, such as [{layers: stem, until: 100}, {depth: [1,5], from: 50}]"},
    )
    # null, because Hydra lets no command line add keys to an existing dictionary
    grow: Any = field(
        default=None,
        metadata={"meaning": "number of hidden layers from a step on, such as {100: 8, 200: 16}; null: no growth"},
    )
    checkpoint: bool = setting(True, "write checkpoint.pt at the end of the run")
    checkpoint_every: int = setting(0, "steps between checkpoints during the run; 0: none before its end", minimum=0)
    resume: str = setting("", "folder of a run to resume, under its own config")
    lr_range: bool = setting(False, "run a learning-rate range test in place of the training")


@dataclass
class LrRange:
    """The learning-rate range test: of `train=lr_range`, and before the training with `optimizer.lr=auto`."""

    lowest: float = setting(1e-6, "first learning rate of a range test", above=0)
    highest: float = setting(10.0, "last learning rate of a range test", above=0)
    steps: int = setting(200, "optimizer steps of a range test", minimum=2)
    stop: float = setting(4.0, "end a range test when the loss is this many times its lowest", above=1)


@dataclass
class Probe:
    """What is recorded, and how often."""

    every: int = setting(10, "record every n-th step, the first and the last; 0: nothing", minimum=0)
    full_every: int = setting(10, "record every column at each n-th recorded step", minimum=1)
    layers: list[str] = field(
        default_factory=lambda: ["*"], metadata={"meaning": "name patterns of the layers to record"}
    )
    neighbours: list[int] = field(
        default_factory=list,
        metadata={"meaning": "compare dL/dz of samples so many places apart in the batch, in neighbours.csv"},
    )


@dataclass
class Follow:
    """What loggers receive besides the metrics of each recorded step."""

    columns: list[str] = field(
        default_factory=lambda: ["preactivation_grad_norm", "activation_std", "update_ratio"],
        metadata={"meaning": "columns of gradients.csv that loggers receive"},
    )
    layers: int = setting(8, "layers that loggers receive, spread over the depth; 0: all", minimum=0)


@dataclass
class Root:
    """A whole config: the settings of the runner and one node for each group of parts."""

    seed: int = setting(0, "seed of every random number", minimum=0, maximum=2**32 - 1)
    figures: bool = setting(True, "draw figures and write report.html; in a sweep, those of all its runs together")
    overwrite: bool = setting(False, "let a single run replace a run of another config in its folder")
    objective: str = setting(
        "eval_loss", "metric in run.json that a sweeper such as hydra/sweeper=optuna optimizes", choices=OBJECTIVES
    )
    train: Train = field(default_factory=Train)
    probe: Probe = field(default_factory=Probe)
    lr_range: LrRange = field(default_factory=LrRange)
    follow: Follow = field(default_factory=Follow)
    logger: Any = field(default_factory=dict)
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
    gate: Any = MISSING


TYPED_NODES: dict[str, type] = {"": Root, "train": Train, "probe": Probe, "lr_range": LrRange, "follow": Follow}


def register() -> None:
    """Register the schema with Hydra, under the name that `configs/config.yaml` lists first."""
    store = ConfigStore.instance()
    if "schema.yaml" not in store.repo:  # Hydra 1.4 warns of a second registration
        store.store(name="schema", node=Root, provider="gradlab")


def settings() -> Iterator[tuple[str, Field[Any]]]:
    """Yield every typed setting as (dotted key, dataclass field)."""
    for node, schema in TYPED_NODES.items():
        for item in fields(schema):
            if "meaning" in item.metadata:
                yield _path(node, item.name), item


def defaults() -> Iterator[str]:
    """Yield the default of every typed setting as YAML, in the order of `settings`."""
    for schema in TYPED_NODES.values():
        values = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.structured(schema)))
        yield from (json.dumps(values[item.name]) for item in fields(schema) if "meaning" in item.metadata)


def allowed(item: Field[Any]) -> str:
    """Return what a setting accepts, in words: `an integer of at least 1`."""
    if "choices" in item.metadata:
        return "one of " + ", ".join(item.metadata["choices"])
    nouns = {int: "an integer", float: "a number", bool: "true or false", str: "a word", list[str]: "a list of names"}
    nouns |= {list[int]: "a list of integers", list[Any]: "a list of rules", Any: "depths by step"}
    low, high = item.metadata.get("minimum"), item.metadata.get("maximum")
    limits = [f"of at least {low}"] if low is not None else []
    limits += [f"at most {high}"] if high is not None else []
    limits += [f"above {item.metadata['above']}"] if "above" in item.metadata else []
    return " ".join([nouns[item.type], " and ".join(limits)]).rstrip()  # pyright: ignore[reportArgumentType]


def check_settings(config: Mapping[str, Any]) -> None:
    """Check that the typed nodes hold exactly their settings, within their limits.

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
    _check_together(config["train"])


def _check_together(train: Mapping[str, Any]) -> None:
    """Check settings that are valid alone but not together.

    Raises:
        GradlabError: Two settings exclude each other.
    """
    short = "train.tf32=true" if train["tf32"] else f"train.autocast={train['autocast']}"
    if train["dtype"] == "float64" and (train["tf32"] or train["autocast"] != "none"):
        raise GradlabError(
            f"{short} lowers the precision of float32 and has no effect on train.dtype=float64: choose one of them"
        )
    if train["checkpoint_every"] and not train["checkpoint"]:
        raise GradlabError(f"train.checkpoint_every={train['checkpoint_every']} needs train.checkpoint=true")


def _within(value: Any, item: Field[Any]) -> bool:
    low, high, above, choices = (item.metadata.get(limit) for limit in ("minimum", "maximum", "above", "choices"))
    if item.type is float and not isfinite(value):
        return False
    return (
        (low is None or value >= low)
        and (high is None or value <= high)
        and (above is None or value > above)
        and (choices is None or value in choices)
    )


def _path(node: str, name: str) -> str:
    return f"{node}.{name}".lstrip(".")
