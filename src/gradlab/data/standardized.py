"""Standardization of inputs and targets to mean 0 and variance 1."""

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


def standardized_targets(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor, float]:
    """Standardize the targets of a regression as `standardized` does, and return their unit too.

    Args:
        train: Training targets [n, 1].
        test: Test targets [m, 1].

    Returns:
        Both, and the length of 1 in the units of the targets; 1 if the training targets are constant.
    """
    return *standardized(train, test), float(train.std(correction=0)) or 1.0
