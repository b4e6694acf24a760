"""What theory needs of an affine map, measured from its weights: an initializer of one's own needs no formula."""

from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradlab.prediction.reasons import NoPredictionError
from gradlab.theory.affine import Affine

_ROWS = 64  # of a weight, looked at for its pattern
_CLOSE = 1e-4  # relative change of a length that an orthogonal matrix may make in float32


def affine_of(module: Any, *, first: bool = False) -> Affine:
    """Measure an affine map.

    Args:
        module: A Linear or a Conv2d.
        first: Whether it sees the inputs, of which there may be few.

    Raises:
        NoPredictionError: Its weights are not like independent random numbers of mean 0, or orthogonal.
    """
    weight: Tensor = module.weight.detach().double().cpu()
    if weight.dim() == 2:
        weight = weight[:, :, None, None]
    elif not (isinstance(module, nn.Conv2d) and module.groups == 1 and module.dilation == (1, 1)):
        raise NoPredictionError(f"theory knows Linear and plain Conv2d layers, not {module}")
    check_random(weight.flatten(1), first=first)
    taps = weight.square().sum(1).mean(0).numpy()
    centre = [tuple(place) for place in np.argwhere(taps > 0)]
    return Affine(
        taps=taps,
        bias_variance=bias_variance(module.bias, taps.sum()),
        width=len(weight),
        orthogonal=len(centre) == 1 and is_orthogonal(weight[:, :, *centre[0]]),
        stride=getattr(module, "stride", (1, 1)),
        padding=getattr(module, "padding_mode", "zeros"),
    )


def bias_variance(bias: Tensor | None, weight_variance: float) -> float:
    """Return the mean square of the biases.

    Raises:
        NoPredictionError: They have a mean that counts beside the weights.
    """
    if bias is None or not bias.detach().any():
        return 0.0
    values = bias.detach().double()
    mean, spread = float(values.mean()), float(values.std(correction=0))
    if abs(mean) > 5 * spread / sqrt(len(values)) and mean**2 > 0.01 * weight_variance:
        raise NoPredictionError("the biases have a mean other than 0")
    return float(values.square().mean())


def check_random(rows: Tensor, *, first: bool = False) -> None:
    """Refuse weights [out, fan_in] that theory must not take for independent random numbers of mean 0.

    Raises:
        NoPredictionError: They have a mean, or units look at hardly more than one input each.
    """
    if not torch.isfinite(rows).all():
        raise NoPredictionError("there are weights that are not finite")
    fan_in, spread, mean = rows.shape[1], float(rows.std(correction=0)), abs(float(rows.mean()))
    squares = rows[:_ROWS].square()
    fourth = float(squares.square().sum(1).mean())
    inputs = float(squares.sum(1).square().mean()) / fourth if fourth else fan_in
    if not first and inputs < min(3, fan_in / 4):
        raise NoPredictionError("the weights have a pattern: a unit looks at one input or two")
    if mean * sqrt(fan_in) > spread * (0.1 + 5 / sqrt(len(rows))):
        raise NoPredictionError("the weights have a mean other than 0")


def is_orthogonal(matrix: Tensor) -> bool:
    """Whether a square matrix keeps all lengths up to one factor, tried on two vectors."""
    if matrix.shape[0] != matrix.shape[1] or len(matrix) < 2 or not matrix.any():
        return False
    vectors = torch.randn(matrix.shape[1], 2, dtype=matrix.dtype)
    factors = (matrix @ vectors).square().sum(0) / vectors.square().sum(0)
    return bool((factors / (matrix.square().sum() / len(matrix)) - 1).abs().max() < _CLOSE)
