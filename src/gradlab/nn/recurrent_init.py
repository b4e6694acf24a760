"""Initialization of a recurrent layer: each gate's matrices and biases."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gradlab.nn.layers import Initializer, trait

INPUT, FORGET = 0, 1  # index among the gates of an LSTM, which torch stores as i, f, g, o
UPDATE = 1  # index among the gates of a GRU, which torch stores as r, u, n
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

    torch stores the matrices of all gates as one, but each is a separate map. Drawn as one, fan_out would be that of
    all gates together, and the gates of a [4 width, width] matrix with orthonormal columns are not orthogonal.

    Args:
        weights: torch's recurrent module of one layer.
        activations: The activation of each gate, in torch's order.
        initializer: Sets each gate's input matrix and bias_ih, the first of torch's two biases.
        recurrent_initializer: Sets each gate's recurrent matrix; bias_hh, the second bias, is zero.
        set_biases: Sets the biases [gates, width] in place, unless ``initializer`` has set one to a nonzero value.

    Raises:
        ValueError: If an initializer has a ``finish`` that needs the whole model (LSUV).
    """
    for name, rule in (("initializer", initializer), ("recurrent_initializer", recurrent_initializer)):
        if trait(rule, "finish", None) is not None:
            raise ValueError(f"{name} must not depend on data: lsuv rescales Linear and Conv layers only")
    width, features = weights.hidden_size, weights.input_size
    biases = torch.zeros(len(activations), width)
    for gate, activation in enumerate(activations):
        rows = slice(gate * width, (gate + 1) * width)
        # skip_init draws no random numbers, so only the initializers advance the generator
        input_map: Any = nn.utils.skip_init(nn.Linear, features, width, bias=weights.bias)
        recurrent_map = nn.utils.skip_init(nn.Linear, width, width, bias=False)
        initializer(input_map, activation=activation)
        recurrent_initializer(recurrent_map, activation=activation)
        weights.weight_ih_l0[rows].copy_(input_map.weight)
        weights.weight_hh_l0[rows].copy_(recurrent_map.weight)
        if weights.bias:
            biases[gate].copy_(input_map.bias)
    if weights.bias:
        if not biases.any():
            set_biases(biases)
        weights.bias_ih_l0.copy_(biases.flatten())
        weights.bias_hh_l0.zero_()


def keep_biases(biases: Tensor) -> None:
    """Leave the biases at zero."""


def constant_bias(gate: int, value: float) -> SetBiases:
    """Return a rule that sets the biases of one gate to a number, such as a forget gate's to 1 (Gers et al. 2000)."""

    def set_biases(biases: Tensor) -> None:
        biases[gate] = value

    return set_biases


def chrono_biases(longest: float, *, keep: int, write: int | None = None) -> SetBiases:
    """Return chrono initialization: each unit draws its own forgetting time, up to ``longest`` steps.

    The bias of the gate that keeps the state is drawn from log U(1, longest - 1). The bias of a separate gate that
    writes the state is its negative (Tallec & Ollivier 2018, eq. 16). A GRU has no such gate: it writes with
    1 - u.

    Args:
        longest: T_max, the longest dependency in time steps.
        keep: Index of the gate that keeps the state.
        write: Index of the gate that writes the state, if it is a separate gate.

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
