"""Function-preserving blocks, with which a network grows deeper during training.

Source: Chen et al. 2016, "Net2Net", section 2.3: the deeper network starts as the same function.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gradlab.nn.blocks import block_layers
from gradlab.nn.initializers import identity
from gradlab.nn.layers import Initializer
from gradlab.nn.residual import weight_scale

_TOLERANCE = 1e-6  # relative to the largest entry; a highway's x T + x (1 - T) equals x only to rounding

Build = Callable[[Initializer], nn.Module]


def identity_block(build: Build, *, initializer: Initializer, signal: Tensor) -> nn.Module:
    """Return a block that maps any signal to itself.

    Three blocks are tried in this order: the block as it is built (ReZero starts as the identity), the same with the
    end of its branch set to zero (residual blocks), and one with identity weights (plain blocks, if the activation is
    idempotent like relu). The first two learn like the network's other blocks.

    Args:
        build: Builds the block with an initializer.
        initializer: The network's initializer.
        signal: Example inputs of the block, [n, ...], which cover the range of values it can receive.

    Raises:
        ValueError: If all three blocks change the signal.
    """
    for adjust, rule in ((_as_built, initializer), (_close, initializer), (_as_built, identity)):
        block = build(rule)
        adjust(block)
        if _preserves(block, signal):
            return block
    raise ValueError(
        "a new block would change the network's function with this activation, normalization and residual; use "
        "residual=pre_activation, or activation=relu with normalization=none"
    )


def _as_built(block: nn.Module) -> None:
    """Leave a block as it is."""


@torch.no_grad()
def _close(block: nn.Module) -> None:
    """Set the end of a residual branch to zero: the gain of its last normalization or, without one, the last weight."""
    if not hasattr(block, "branch"):
        return
    parts = block_layers(block)[-1].named_children()
    ends = [part for name, part in parts if name != "activation" and hasattr(part, "weight")]
    end = next((part for part in reversed(ends) if part.weight is not None), None)
    if end is not None:
        weight_scale(end).zero_()
        if (bias := getattr(end, "bias", None)) is not None:
            bias.zero_()


@torch.no_grad()
def _preserves(block: nn.Module, signal: Tensor) -> bool:
    """Return whether a block maps a signal to itself in training and in evaluation mode; buffers are restored."""
    buffers = [buffer.clone() for buffer in block.buffers()]
    preserved = True
    for training in (True, False):
        distance = (block.train(training)(signal.clone()) - signal).abs().max()
        preserved = preserved and bool(distance <= _TOLERANCE * signal.abs().max())
    for buffer, old in zip(block.buffers(), buffers, strict=True):
        buffer.copy_(old)
    return preserved
