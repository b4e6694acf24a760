"""Kind and parameters of a normalization module, for theory."""

from typing import Any

import torch
from torch import nn

from gradlab.nn.normalization import ChannelsLast
from gradlab.nn.residual import ScalarBias
from gradlab.prediction.reasons import NoPredictionError
from gradlab.theory.network import Normalization


def normalization_of(module: Any) -> tuple[Normalization, float, int]:
    """Return the kind, the epsilon added to the variance, and the number of groups of features.

    Raises:
        NoPredictionError: If theory does not cover the module, or its scales and shifts are not 1 and 0.
    """
    if isinstance(module, nn.Sequential) and isinstance(shift := module[-1], ScalarBias):
        if bool(shift.bias != 0):
            raise NoPredictionError("the biases have a mean other than 0")
        module = module[0]
    if isinstance(module, ChannelsLast):
        module = module.module
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if (weight is not None and (weight != 1).any()) or (bias is not None and bias.any()):
        raise NoPredictionError("the normalization does not start with scales of 1 and shifts of 0")
    match module:
        case nn.Identity():
            return "none", 0.0, 1
        case nn.LayerNorm():
            return "sample", module.eps, 1
        case nn.GroupNorm():
            return "sample", module.eps, module.num_groups
        case nn.RMSNorm():
            return "position", module.eps or torch.finfo(torch.float32).eps, 1
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return "batch", module.eps, 1
        case _:
            raise NoPredictionError(f"the normalization {type(module).__name__} is not covered")
