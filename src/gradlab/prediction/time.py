"""Prediction over time, for plain and gated recurrent nets of one layer."""

from math import exp, isfinite, nan, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradlab.nn.cells import GRU, LSTM, Elman
from gradlab.nn.recurrent_init import FORGET, UPDATE
from gradlab.nn.recurrent_net import Recurrent, as_sequence
from gradlab.prediction.activation import phi_of
from gradlab.prediction.norm import normalization_of
from gradlab.prediction.reasons import NoPredictionError
from gradlab.prediction.weights import bias_variance, check_random, is_orthogonal
from gradlab.theory import recurrent
from gradlab.theory.forecast import ROUNDING, Forecast, random_walk

# Measured growths of 240 tanh, relu, gelu and linear nets of 32 to 128 units with a Gaussian matrix differed from those
# with a new matrix at every step by at most 1.95 sqrt(v / N).
_SHARED = 2.0


def predict_time(model: Recurrent, inputs: Tensor) -> Forecast:
    """Predict the gradient at every time step of a recurrent net.

    Args:
        model: The network.
        inputs: Its first batch.

    Raises:
        NoPredictionError: If theory does not cover the network.
    """
    if len(model.blocks):
        raise NoPredictionError("in stacked recurrent layers each time step also gets a gradient from the next layer")
    if model.each_step:
        raise NoPredictionError("every time step has a loss of its own")
    sequence = as_sequence(inputs).detach().double().cpu()
    if sequence.shape[1] < 2:
        raise NoPredictionError("a growth per time step needs at least two of them")
    layer: Any = model.stem
    match layer.cell:
        case Elman():
            return _elman(layer, sequence)
        case LSTM():
            return _gated(layer, sequence, gate=FORGET, column="cell_grad_norm")
        case GRU():
            return _gated(layer, sequence, gate=UPDATE, column="hidden_grad_norm")
        case _:
            raise NoPredictionError(f"the cell {type(layer.cell).__name__} is not covered")


def _elman(layer: Any, sequence: Tensor) -> Forecast:
    input_weight, recurrent_weight = (
        matrix.weight.detach().double().cpu() for matrix in (layer.input, layer.recurrent)
    )
    check_random(input_weight, first=True)
    check_random(recurrent_weight)
    units = len(recurrent_weight)
    variance = float(recurrent_weight.square().sum()) / units
    kind, epsilon, _ = normalization_of(layer.cell.normalization)
    driven = float(input_weight.square().sum()) / input_weight.numel() * sequence.square().sum(2).mean(0)
    for matrix in (layer.input, layer.recurrent):
        driven = driven + bias_variance(matrix.bias, max(variance, float(driven.mean())))
    result = recurrent.follow(
        recurrent.Elman(
            phi=phi_of([layer.cell.activation]),
            recurrent_variance=variance,
            driven=driven.numpy(),
            orthogonal=is_orthogonal(recurrent_weight),
            normalization=kind,
            epsilon=epsilon,
        )
    )
    if not all(result.factors):
        raise NoPredictionError("weights of 0 send no gradient back")
    steps = sequence.shape[1]
    return Forecast(
        over="time",
        column="hidden_grad_norm",
        places=range(steps),
        log_gradients=result.log_gradients,
        variances=result.variances,
        chi=result.factors[-1],
        q_star=result.variances[-1],
        # the second term: all steps share one matrix, so its effect on a direction does not average out over them
        tolerance=random_walk(result.walk, width=units, places=steps) + _SHARED * sqrt(max(result.walk, 0) / units),
        assumes=["a new random recurrent matrix at every time step, where the net has one"],
    )


def _gated(layer: Any, sequence: Tensor, *, gate: int, column: str) -> Forecast:
    """Predict the decay through the gate that keeps the state, in a layer whose weights are zero."""
    matrices = (layer.input, layer.recurrent)
    if any(matrix.weight.any() for matrix in matrices):
        # a gate fixed at its bias is off by up to eight decades over 50 steps of a GRU
        raise NoPredictionError("gates move with the signal where the weights of an LSTM or a GRU are not 0")
    if not isinstance(layer.input.normalization, nn.Identity):
        raise NoPredictionError("gates with a normalization are not covered")
    units = layer.weights.hidden_size
    biases = torch.zeros(units, dtype=torch.float64)
    for matrix in matrices:
        if matrix.bias is not None:
            biases += matrix.bias.detach().double().cpu()[gate * units : (gate + 1) * units]
    steps = sequence.shape[1]
    logs = recurrent.gate_log_gradients(biases.numpy(), steps)
    factor = exp(logs[0] / (steps - 1)) if isfinite(logs[0]) else nan
    return Forecast(
        over="time",
        column=column,
        places=range(steps),
        log_gradients=logs,
        chi=factor,
        tolerance=_spread(biases, steps),
    )


def _spread(biases: Tensor, steps: int) -> float:
    """Return the tolerance for units with different biases: the loss weights the units unequally, the mean does not."""
    if not len(biases.unique()) > 1:
        return ROUNDING
    logs = np.array(recurrent.gate_log_gradients(biases.numpy(), steps))
    return float(4 * np.ptp(logs) / (steps - 1) / sqrt(len(biases))) + ROUNDING
