"""How a recurrent layer starts: each gate's matrices and biases."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gradlab.nn.layers import Initializer, trait

INPUT, FORGET = 0, 1  # places among the gates of an LSTM: i, f, g, o
UPDATE = 1  # and among those of a GRU: r, u, n
SetBiases = Callable[[Tensor], None]


@torch.no_grad()
def initialize(
    weights: Any,
    *,
    activations: Sequence[nn.Module],
    initializer: Initializer,
    recurrent_initializer: Initializer,
    set_biases: SetBiases,
) -> None:
    """Initialize a recurrent layer gate by gate.

    Every gate is a map of its own that happens to be stored on top of the others: drawn together, its fan_out would be
    that of four layers, and a [4 width, width] matrix with orthonormal columns has no orthogonal gate in it.

    Args:
        weights: torch's recurrent module of one layer.
        activations: The activation of each gate, in torch's order.
        initializer: Sets each gate's input matrix and the one of torch's two biases that stands beside it.
        recurrent_initializer: Sets each gate's recurrent matrix; the bias beside it is zero.
        set_biases: Changes the biases [gates, width], unless ``initializer`` set some itself.

    Raises:
        ValueError: If an initializer wants to end its work on the whole model (LSUV).
    """
    for name, rule in (("initializer", initializer), ("recurrent_initializer", recurrent_initializer)):
        if trait(rule, "finish", None) is not None:
            raise ValueError(f"{name} must not look at data, as lsuv does: it rescales Linear and Conv layers only")
    width, features = weights.hidden_size, weights.input_size
    biases = torch.zeros(len(activations), width)
    for gate, activation in enumerate(activations):
        rows = slice(gate * width, (gate + 1) * width)
        below: Any = nn.utils.skip_init(nn.Linear, features, width, bias=weights.bias)
        beside = nn.utils.skip_init(nn.Linear, width, width, bias=False)
        initializer(below, activation=activation)
        recurrent_initializer(beside, activation=activation)
        weights.weight_ih_l0[rows].copy_(below.weight)
        weights.weight_hh_l0[rows].copy_(beside.weight)
        if weights.bias:
            biases[gate].copy_(below.bias)
    if weights.bias:
        if not biases.any():
            set_biases(biases)
        weights.bias_ih_l0.copy_(biases.flatten())
        weights.bias_hh_l0.zero_()


def keep_biases(biases: Tensor) -> None:
    """Leave the biases at zero."""


def constant_bias(gate: int, value: float) -> SetBiases:
    """Return a rule that sets the biases of one gate to a number: a forget gate's to 1, say (Gers et al. 2000)."""

    def set_biases(biases: Tensor) -> None:
        biases[gate] = value

    return set_biases


def chrono_biases(longest: float, *, keep: int, write: int | None = None) -> SetBiases:
    """Return chrono initialization: each unit forgets after its own time, up to ``longest`` steps.

    The bias of the gate that keeps the state is drawn from log U(1, longest - 1), that of the gate that writes is its
    negative (Tallec & Ollivier 2018, eq. 16). A GRU's update gate keeps in torch, 1 - it writes.

    Args:
        longest: T_max, the longest dependency in time steps.
        keep: Place of the gate that keeps.
        write: Place of the gate that writes, where it is another.

    Raises:
        ValueError: If ``longest`` is below 2.
    """
    if longest < 2:
        raise ValueError(f"chrono needs sequences of at least 2 time steps, got {longest}")

    def set_biases(biases: Tensor) -> None:
        biases[keep] = torch.empty_like(biases[keep]).uniform_(1, longest - 1).log()
        if write is not None:
            biases[write] = -biases[keep]

    return set_biases
