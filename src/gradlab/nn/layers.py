"""One weight layer: an affine map, its normalization and its activation, in either order; protocols of the parts."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

AFFINE_FIRST = ("affine", "normalization", "activation")
ACTIVATION_FIRST = ("normalization", "activation", "affine")


class Initializer(Protocol):
    """A rule that sets the weight and the bias of one layer."""

    def __call__(self, layer: nn.Module, *, activation: nn.Module) -> None:
        """Initialize ``layer``, given the activation that belongs to it."""
        ...


class Normalization(Protocol):
    """A factory of normalization layers."""

    def __call__(self, affine: nn.Module, features: int) -> tuple[nn.Module, nn.Module]:
        """Return the affine map, re-parametrized if need be, and the module that normalizes its output."""
        ...


class Residual(Protocol):
    """A factory of residual blocks."""

    def __call__(self, branch: nn.Sequential, shortcut: nn.Module, index: int, blocks: int) -> nn.Module:
        """Return block ``index`` (from 0) of ``blocks``, built around ``branch`` and ``shortcut``."""
        ...


Activation = Callable[[], nn.Module]


def trait(rule: Any, name: str, default: Any) -> Any:
    """Return the attribute ``name`` of a rule, looking through ``functools.partial``.

    The attribute ``order`` of a residual class is the arrangement of the layers in its branch. An initializer or a
    residual may define ``finish(model, batch)``.
    """
    return getattr(rule.func if isinstance(rule, partial) else rule, name, default)


def layer(
    affine: nn.Module,
    *,
    order: tuple[str, ...],
    features: int,
    activation: Activation,
    initializer: Initializer,
    normalization: Normalization,
) -> nn.Sequential:
    """Return one layer: an initialized affine map with its normalization and activation.

    Args:
        affine: The map that holds the weight, for example ``nn.Linear``.
        order: Names of the parts in the order in which they are applied; other parts are left out.
        features: Number of units or channels at the input of the normalization.
        activation: Factory of the activation.
        initializer: Rule that sets the weight and the bias.
        normalization: Factory of the normalization.

    Returns:
        An ``nn.Sequential`` whose children are called as in ``order``.
    """
    phi = activation()
    initializer(affine, activation=phi)
    affine, normalize = normalization(affine, features)
    parts = {"affine": affine, "normalization": normalize, "activation": phi}
    return nn.Sequential(OrderedDict((name, parts[name]) for name in order))


def block_lengths(depth: int, block_depth: int) -> list[int]:
    """Return the number of layers in each block: ``block_depth``, or fewer in an incomplete last block."""
    return [min(block_depth, depth - start) for start in range(0, depth, block_depth)]


def signal_before(order: tuple[str, ...], activation: Activation, shape: tuple[int, ...], *, batch: int = 64) -> Tensor:
    """Return random block inputs [batch, *shape]: Gaussian, and activated if the layers start with the affine map.

    Args:
        order: Arrangement of the block's layers.
        activation: Factory of the activation.
        shape: Shape of one signal.
        batch: Number of signals.
    """
    signal = 4 * torch.randn(batch, *shape)
    return activation()(signal).detach() if order == AFFINE_FIRST else signal


def require_positive(**sizes: int) -> None:
    """Check that every size is at least 1.

    Raises:
        ValueError: If one is below 1; the message names it.
    """
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


class Fork(nn.Module):
    """An identity where the skip leaves the main path, with its own node in the backward graph.

    The gradient at its output is the part of dL/dx that came along the skip.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, any shape, as a view."""
        return x.view_as(x)
