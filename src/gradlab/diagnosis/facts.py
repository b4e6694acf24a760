"""What a remedy has to know of a config: plain facts, read from the files of a run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

LAYERED, RECURRENT = frozenset({"mlp", "cnn"}), frozenset({"rnn", "lstm", "gru"})
_KINDS = {
    "gradlab.nn.mlp.MLP": "mlp", "gradlab.nn.cnn.CNN": "cnn",
    "gradlab.nn.rnn.rnn": "rnn", "gradlab.nn.rnn.lstm": "lstm", "gradlab.nn.rnn.gru": "gru",
}  # fmt: skip

# What is wrong with an activation in a deep net, if anything is.
_SLOPES = {
    "sigmoid": "sigmoid's slope is at most 1/4: each layer can pass a quarter of the gradient at most",
    "tanh": "tanh's slope is below 1 everywhere but at 0",
    "erf": "erf is flat for large inputs",
    "softsign": "softsign's slope is below 1 everywhere but at 0",
    "hardtanh": "hardtanh's slope is 0 outside [-1, 1]",
    "softplus": "softplus' slope is the sigmoid, 1/2 at 0, and its outputs are never negative",
    "relu": "relu's slope is 0 for negative inputs: a unit can die",
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
    """Plain facts about a config.

    Attributes:
        choices: The option chosen of each group, such as ``{"activation": "sigmoid"}``, as far as it is known.
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
        """Number of hidden layers; 0 where the config does not say."""
        depth = self.values.get("model.depth")
        return depth if isinstance(depth, int) else 0

    @property
    def lr(self) -> float | None:
        """The learning rate; None where a range test is to find it."""
        lr = self.values.get("optimizer.lr")
        return float(lr) if isinstance(lr, int | float) else None

    @property
    def steps(self) -> int:
        """Number of optimizer steps."""
        return int(self.values.get("train.steps", 0))

    @property
    def time_steps(self) -> int:
        """Length of the sequences, where the data's config says; images are read by rows, of which digits have 8."""
        return int(self.values.get("data.length", 8))

    @property
    def activation(self) -> str:
        """Name of the activation that the model is built with; "" in gated cells, which have their own."""
        return self.choices.get("activation", "") if self.model in LAYERED | {"rnn"} else ""

    @property
    def words(self) -> dict[str, Any]:
        """What the overrides and reasons of the catalogue may mention."""
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
        """Whether a config already is what an override would make of it."""
        key, _, value = override.partition("=")
        if key in self.choices:
            return self.choices[key] == value
        return key in self.values and _same(self.values[key], value)


def read_facts(config: Mapping[str, Any], choices: Mapping[str, Any]) -> Facts:
    """Return the facts of a config.

    Args:
        config: The config as plain dictionaries, its interpolations resolved.
        choices: The option chosen of each group, as Hydra's ``runtime.choices`` in a run's ``.hydra/hydra.yaml``.
    """
    model = config.get("model")
    target = model.get("_target_", "") if isinstance(model, Mapping) else ""
    return Facts(
        choices={group.partition("@")[0]: str(option) for group, option in choices.items() if option is not None},
        values=dict(_flat(config)),
        model=_KINDS.get(target, "other"),
    )


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _same(value: Any, text: str) -> bool:
    """Whether a value is what an override's text says."""
    if isinstance(value, bool):
        return str(value).lower() == text.lower()
    try:
        return float(value) == float(text)
    except (TypeError, ValueError):
        return str(value) == text
