"""Standardization of inputs to mean 0 and variance 1."""

import torch
from torch import Tensor


def standardized(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Shift and scale every feature to mean 0 and variance 1 over the training samples.

    A feature that is constant in training carries no information and becomes 0, in the test samples too.

    Args:
        train: Training inputs [n, ...].
        test: Test inputs [m, ...], transformed by the training samples' mean and standard deviation.
    """
    mean, std = train.mean(0), train.std(0, correction=0)
    constant = train.amax(0) == train.amin(0)
    divisor = torch.where(constant, torch.inf, std)
    return (train - mean) / divisor, (test - mean) / divisor
