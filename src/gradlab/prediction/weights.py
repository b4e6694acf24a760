"""Statistics of an affine map, measured from its weights, so that a user's own initializer needs no formula."""

from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradlab.prediction.reasons import NoPredictionError
from gradlab.theory.affine import Affine

_ROWS = 64  # number of rows of a weight that are checked for a pattern
_CLOSE = 1e-4  # relative change of a length by an orthogonal matrix that counts as float32 rounding


def affine_of(module: Any, *, first: bool = False) -> Affine:
    """Measure an affine map.

    Args:
        module: A Linear or a Conv2d.
        first: Whether it is the first layer, which may have few inputs.

    Raises:
        NoPredictionError: If the weights are neither like independent random numbers of mean 0 nor orthogonal.
    """
    weight: Tensor = module.weight.detach().double().cpu()
    if weight.dim() == 2:
        weight = weight[:, :, None, None]
    elif not (isinstance(module, nn.Conv2d) and module.groups == 1 and module.dilation == (1, 1)):
        raise NoPredictionError(f"only Linear and plain Conv2d layers are covered, not {module}")
    check_random(weight.flatten(1), first=first)
    taps = weight.square().sum(1).mean(0).numpy()
    nonzero = [tuple(tap) for tap in np.argwhere(taps > 0)]
    return Affine(
        taps=taps,
        bias_variance=bias_variance(module.bias, taps.sum()),
        width=len(weight),
        features=weight.shape[1],
        orthogonal=len(nonzero) == 1 and is_orthogonal(weight[:, :, *nonzero[0]]),
        stride=getattr(module, "stride", (1, 1)),
        padding=getattr(module, "padding_mode", "zeros"),
    )


def bias_variance(bias: Tensor | None, weight_variance: float) -> float:
    """Return the mean square of the biases.

    Raises:
        NoPredictionError: If they have a mean that is not small compared with the weights.
    """
    if bias is None or not bias.detach().any():
        return 0.0
    values = bias.detach().double()
    mean, spread = float(values.mean()), float(values.std(correction=0))
    # more than five standard errors from 0, and large enough to matter
    if abs(mean) > 5 * spread / sqrt(len(values)) and mean**2 > 0.01 * weight_variance:
        raise NoPredictionError("the biases have a mean other than 0")
    return float(values.square().mean())


def check_random(rows: Tensor, *, first: bool = False) -> None:
    """Refuse weights [out, fan_in] that are not like independent random numbers of mean 0.

    Raises:
        NoPredictionError: If they have a mean, or hardly more than one nonzero input per unit.
    """
    if not torch.isfinite(rows).all():
        raise NoPredictionError("some weights are not finite")
    fan_in, spread, mean = rows.shape[1], float(rows.std(correction=0)), abs(float(rows.mean()))
    squares = rows[:_ROWS].square()
    fourth = float(squares.square().sum(1).mean())
    # effective number of inputs of a unit (inverse participation ratio): 1 for an identity, fan_in / 3 for a Gaussian
    inputs = float(squares.sum(1).square().mean()) / fourth if fourth else fan_in
    if not first and inputs < min(3, fan_in / 4):
        raise NoPredictionError("the weights have a pattern: each unit uses only one or two inputs")
    if mean * sqrt(fan_in) > spread * (0.1 + 5 / sqrt(len(rows))):
        raise NoPredictionError("the weights have a mean other than 0")


def is_orthogonal(matrix: Tensor) -> bool:
    """Return whether a square matrix preserves lengths up to one factor, tested on two random vectors."""
    if matrix.shape[0] != matrix.shape[1] or len(matrix) < 2 or not matrix.any():
        return False
    vectors = torch.randn(matrix.shape[1], 2, dtype=matrix.dtype)
    factors = (matrix @ vectors).square().sum(0) / vectors.square().sum(0)
    return bool((factors / (matrix.square().sum() / len(matrix)) - 1).abs().max() < _CLOSE)
