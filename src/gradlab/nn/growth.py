"""Blocks that leave the function of a network as it is, so that it can grow while it trains.

Source: Chen et al. 2016, "Net2Net", section 2.3: the deeper network starts out as the same function.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gradlab.nn.blocks import block_layers
from gradlab.nn.initializers import identity
from gradlab.nn.layers import Initializer
from gradlab.nn.residual import weight_scale

_TOLERANCE = 1e-6  # of the largest entry: x T + x (1 - T), as a highway computes it, is x but for rounding

Build = Callable[[Initializer], nn.Module]


def identity_block(build: Build, *, initializer: Initializer, signal: Tensor) -> nn.Module:
    """Return a block that maps any signal to itself.

    Tried in this order: the block as it is built (ReZero is closed at the start), the same with the end of its branch
    at zero (residual blocks), and weights that are identities (plain blocks, where the activation lets what has passed
    it once pass again, as relu does). The first two learn as the network's other blocks do.

    Args:
        build: Builds the block with an initializer.
        initializer: The network's own.
        signal: What may stand before the block, [n, ...]: something with every value that the block can meet.

    Raises:
        ValueError: The block changes the signal in each case.
    """
    for attempt, rule in ((_as_built, initializer), (_close, initializer), (_as_built, identity)):
        block = build(rule)
        attempt(block)
        if _keeps(block, signal):
            return block
    raise ValueError(
        "a new block would change the network's function, with this activation, normalization and residual; it does "
        "not with residual=pre_activation, or with activation=relu and normalization=none"
    )


def _as_built(block: nn.Module) -> None:
    """Leave a block as it is."""


@torch.no_grad()
def _close(block: nn.Module) -> None:
    """Set what the branch of a residual block ends with to zero: the gain of its normalization, or else the weight."""
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
def _keeps(block: nn.Module, signal: Tensor) -> bool:
    """Whether a block maps a signal to itself, in training and in evaluation; running statistics stay as they are."""
    buffers = [buffer.clone() for buffer in block.buffers()]
    kept = True
    for training in (True, False):
        distance = (block.train(training)(signal.clone()) - signal).abs().max()
        kept = kept and bool(distance <= _TOLERANCE * signal.abs().max())
    for buffer, old in zip(block.buffers(), buffers, strict=True):
        buffer.copy_(old)
    return kept
