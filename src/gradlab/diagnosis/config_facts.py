"""Plain facts about a run's config: `Facts` for choosing remedies, `Setting` for judging recorded numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

from gradlab.diagnosis.flow import FLOAT32_SMALLEST

LAYERED, RECURRENT = frozenset({"mlp", "cnn"}), frozenset({"rnn", "lstm", "gru"})
UNKNOWN = ""
_FLOAT64_SMALLEST = 2.2250738585072014e-308  # smallest normal number
_COPIED = 10  # number of symbols of the copy memory problem, each to be remembered over the pause and these
_KINDS = {
    "gradlab.nn.mlp.MLP": "mlp", "gradlab.nn.cnn.CNN": "cnn",
    "gradlab.nn.rnn.rnn": "rnn", "gradlab.nn.rnn.lstm": "lstm", "gradlab.nn.rnn.gru": "gru",
}  # fmt: skip

# The weakness of an activation in a deep net; an activation without an entry has none worth a sentence.
_SLOPES = {
    "sigmoid": "sigmoid's slope is at most 1/4, so each layer passes at most a quarter of the gradient",
    "tanh": "tanh's slope is below 1 everywhere but at 0",
    "erf": "erf is flat for large inputs",
    "softsign": "softsign's slope is below 1 everywhere but at 0",
    "hardtanh": "hardtanh's slope is 0 outside [-1, 1]",
    "softplus": "softplus' slope is the sigmoid, 1/2 at 0, and its outputs are never negative",
    "relu": "relu's slope is 0 for negative inputs, so units can die",
}
# Weight variance (times fan_in) and bias variance at which a wide plain net's gradient keeps its size (chi = 1; Poole
# et al. 2016, Schoenholz et al. 2017). tests/diagnosis recompute them by quadrature.
CRITICAL = {
    "relu": (2.0, 0.0), "leaky_relu": (1.9998, 0.0), "identity": (1.0, 0.0), "elu": (1.49678, 0.03466),
    "selu": (0.93321, 0.06679), "gelu": (1.97611, 0.18637), "silu": (1.96843, 0.85832), "tanh": (1.76095, 0.05),
    "erf": (1.11072, 0.0097), "softsign": (3.14125, 0.05), "hardtanh": (1.04769, 0.00889), "sigmoid": (103.008, 0.0),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts on which the choice of remedies depends.

    Attributes:
        choices: The chosen option of each group, such as ``{"activation": "sigmoid"}``, as far as known.
        values: Every value of the resolved config by its dotted key.
        model: ``mlp, cnn, rnn, lstm, gru``; ``other`` for models that are not built from the part groups.
    """

    choices: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    model: str = "other"

    @property
    def recurrent(self) -> bool:
        """Whether the model has time steps."""
        return self.model in RECURRENT

    @property
    def depth(self) -> int:
        """Number of hidden layers; 0 if the config does not contain it."""
        depth = self.values.get("model.depth")
        return depth if isinstance(depth, int) else 0

    @property
    def lr(self) -> float | None:
        """The learning rate; None if a range test is to find it."""
        return _number(self.values.get("optimizer.lr"))

    @property
    def steps(self) -> int:
        """Number of optimizer steps."""
        return int(self.values.get("train.steps", 0))

    @property
    def time_steps(self) -> int:
        """Length of the sequences, if the data's config contains it; else 8, the number of rows of a digits image."""
        return int(self.values.get("data.length", 8))

    @property
    def activation(self) -> str:
        """Name of the activation option; "" for gated cells, which have fixed activations."""
        return self.choices.get("activation", "") if self.model in LAYERED | {"rnn"} else ""

    @property
    def words(self) -> dict[str, Any]:
        """Values for the templates of the catalogue's overrides and reasons."""
        weights, biases = CRITICAL.get(self.activation, (1.0, 0.0))
        lr = self.lr or 0.0
        return {
            "model": self.model,
            "activation": self.activation,
            "slope": _SLOPES.get(self.activation, f"{self.activation or 'the gates'} can be flat"),
            "initializer": self.choices.get("initializer", "this initializer"),
            "depth": self.depth,
            "shallower": max(2, self.depth // 4),
            "every": max(1, self.depth // 5),
            "lr": f"{lr:g}",
            "lower": f"{lr / 10:.3g}",
            "higher": f"{lr * 10:.3g}",
            "weight_variance": weights,
            "bias_variance": biases,
            "gain": round(sqrt(weights), 4),
            "batch_size": self.values.get("train.batch_size"),
            "larger_batch": 4 * int(self.values.get("train.batch_size") or 1),
            "steps": self.steps,
            "longer": 4 * self.steps,
            "max_norm": self.values.get("clipping.max_norm"),
            "wider": 10 * float(self.values.get("clipping.max_norm") or 1),
            "precision": self.values.get("train.autocast"),
        }

    def on(self, override: str) -> bool:
        """Whether the config already has the value that an override sets."""
        key, _, value = override.partition("=")
        if key in self.choices:
            return self.choices[key] == value
        return key in self.values and _equal(self.values[key], value)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Facts on which the rules depend; the defaults are for a run of which only the tables are known.

    Attributes:
        activation: Last part of the activation's target in lower case, such as ``relu``; "" if unknown.
        normalization: Last part of the normalization's target in lower case; "" if unknown.
        residual: Last part of the residual's target in lower case; "" if unknown.
        trains: Whether weights are updated.
        freezes: Whether some layers are frozen on purpose.
        lr: Learning rate; None if unknown.
        lag: Least number of time steps over which the task needs memory; None if unknown.
        chance: Loss of the best constant prediction; None if unknown.
        chance_accuracy: Accuracy of the best constant prediction, in [0, 1]; None if unknown.
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
    smallest: float = FLOAT32_SMALLEST


def read_facts(config: Mapping[str, Any], choices: Mapping[str, Any]) -> Facts:
    """Return the facts on which the choice of remedies depends.

    Args:
        config: The config as plain dictionaries, its interpolations resolved.
        choices: The chosen option of each group, as Hydra's ``runtime.choices`` in a run's ``.hydra/hydra.yaml``.
    """
    model = config.get("model")
    target = model.get("_target_", "") if isinstance(model, Mapping) else ""
    return Facts(
        choices={group.partition("@")[0]: str(option) for group, option in choices.items() if option is not None},
        values=dict(flat_items(config)),
        model=_KINDS.get(target, "other"),
    )


def read_setting(config: Mapping[str, Any], *, chance: Mapping[str, float | None]) -> Setting:
    """Return the facts on which the rules depend.

    Args:
        config: The config as plain dictionaries, its interpolations resolved; empty if there is none.
        chance: ``loss`` and ``accuracy`` of the best constant prediction, as far as known.
    """
    train, optimizer = (config.get(group) or {} for group in ("train", "optimizer"))
    gated = _target_name(config, "model") in ("lstm", "gru")
    return Setting(
        activation=UNKNOWN if gated else _target_name(config, "activation"),
        normalization=_target_name(config, "normalization"),
        residual=_target_name(config, "residual"),
        trains=not train.get("measure_only", False),
        freezes=bool(train.get("freeze")),
        lr=_number(optimizer.get("lr")),
        lag=_lag(config.get("data") or {}),
        chance=chance.get("loss"),
        chance_accuracy=chance.get("accuracy"),
        smallest=_FLOAT64_SMALLEST if train.get("dtype") == "float64" else FLOAT32_SMALLEST,
    )


def flat_items(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of nested dictionaries with its dotted key.

    Args:
        content: A config, or a part of run.json.
        prefix: Start of every key, with its dot.
    """
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from flat_items(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _number(value: Any) -> float | None:
    """Return a number, or None for a word such as ``auto``."""
    return float(value) if isinstance(value, int | float) else None


def _equal(value: Any, text: str) -> bool:
    """Whether a value equals an override's text."""
    if isinstance(value, bool):
        return str(value).lower() == text.lower()
    try:
        return float(value) == float(text)
    except (TypeError, ValueError):
        return str(value) == text


def _target_name(config: Mapping[str, Any], group: str) -> str:
    """Return the last part of a group's target in lower case."""
    return str((config.get(group) or {}).get("_target_", UNKNOWN)).rpartition(".")[2].lower()


def _lag(data: Mapping[str, Any]) -> int | None:
    """Return the least number of time steps over which a sequence task needs memory."""
    name, length = str(data.get("_target_", "")), data.get("length")
    if not isinstance(length, int):
        return None
    if name.endswith(".adding"):
        return length // 2  # the first number is in the first half, and the sum is needed at the end
    return length + _COPIED if name.endswith(".copy_memory") else None
