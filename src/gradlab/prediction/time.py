"""The prediction over time, of plain and gated recurrent nets of one layer."""

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


def predict_time(model: Recurrent, inputs: Tensor) -> Forecast:
    """Predict the gradient at every time step of a recurrent net.

    Args:
        model: The network.
        inputs: Its first batch.

    Raises:
        NoPredictionError: Theory does not cover it.
    """
    if len(model.blocks):
        raise NoPredictionError("stacked recurrent layers: each time step of one receives from the next layer, too")
    if model.each_step:
        raise NoPredictionError("every time step has a loss of its own")
    sequence = as_sequence(inputs).detach().double().cpu()
    if sequence.shape[1] < 2:
        raise NoPredictionError("one time step has nothing to compare with")
    layer: Any = model.stem
    match layer.cell:
        case Elman():
            return _elman(layer, sequence)
        case LSTM():
            return _gated(layer, sequence, gate=FORGET, column="cell_grad_norm")
        case GRU():
            return _gated(layer, sequence, gate=UPDATE, column="hidden_grad_norm")
        case _:
            raise NoPredictionError(f"theory does not know the cell {type(layer.cell).__name__}")


def _elman(layer: Any, sequence: Tensor) -> Forecast:
    below, beside = (matrix.weight.detach().double().cpu() for matrix in (layer.input, layer.recurrent))
    check_random(below, first=True)
    check_random(beside)
    units = len(beside)
    variance = float(beside.square().sum()) / units
    kind, epsilon, _ = normalization_of(layer.cell.normalization)
    driven = float(below.square().sum()) / below.numel() * sequence.square().sum(2).mean(0)
    for matrix in (layer.input, layer.recurrent):
        driven = driven + bias_variance(matrix.bias, max(variance, float(driven.mean())))
    found = recurrent.follow(
        recurrent.Elman(
            phi=phi_of([layer.cell.activation]),
            recurrent_variance=variance,
            driven=driven.numpy(),
            orthogonal=is_orthogonal(beside),
            normalization=kind,
            epsilon=epsilon,
        )
    )
    if not all(found.factors):
        raise NoPredictionError("weights of 0 send no gradient back")
    steps = sequence.shape[1]
    return Forecast(
        over="time",
        column="hidden_grad_norm",
        places=range(steps),
        log_gradients=found.log_gradients,
        variances=found.variances,
        chi=found.factors[-1],
        q_star=found.variances[-1],
        # One matrix at every step: what it does to a direction does not average out over the steps.
        tolerance=random_walk(found.walk, width=units, places=steps) + 4 * sqrt(1 / units),
        assumes=["the gradient meets the same recurrent matrix as if it were a new one at every time step"],
    )


def _gated(layer: Any, sequence: Tensor, *, gate: int, column: str) -> Forecast:
    """Predict what a gate hands on: exactly where its layer's weights are zero, else as if it stayed at its bias."""
    matrices = (layer.input, layer.recurrent)
    if not isinstance(layer.input.normalization, nn.Identity):
        raise NoPredictionError("gates behind a normalization")
    units = layer.weights.hidden_size
    biases = torch.zeros(units, dtype=torch.float64)
    for matrix in matrices:
        if matrix.bias is not None:
            biases += matrix.bias.detach().double().cpu()[gate * units : (gate + 1) * units]
    exact = not any(matrix.weight.any() for matrix in matrices)
    steps = sequence.shape[1]
    logs = recurrent.handed_on(biases.numpy(), steps)
    factor = exp(logs[0] / (steps - 1)) if isfinite(logs[0]) else nan
    return Forecast(
        over="time",
        column=column,
        places=range(steps),
        log_gradients=logs,
        chi=factor,
        tolerance=_spread(biases, steps) if exact else nan,
        assumes=[] if exact else ["gates that stay at their biases, and no way back but the state itself"],
    )


def _spread(biases: Tensor, steps: int) -> float:
    """Return how far units of unequal biases may lie from their mean, because the loss weighs them unequally."""
    if not len(biases.unique()) > 1:
        return ROUNDING
    ends = np.array(recurrent.handed_on(biases.numpy(), steps))
    return float(4 * np.ptp(ends) / (steps - 1) / sqrt(len(biases))) + ROUNDING
