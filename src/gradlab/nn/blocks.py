"""Points of a network built from blocks: which modules belong to which weight layer."""

from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn

from gradlab.interfaces import Point


def network_points(stem: Any, blocks: Iterable[Any], head: nn.Module, auxiliary: nn.ModuleDict) -> Iterator[Point]:
    """Yield the points of a stem, its blocks and a head, numbered from 1 along the main path.

    Args:
        stem: The first layer.
        blocks: The blocks between stem and head.
        head: The head.
        auxiliary: Auxiliary heads, by the depth_index of the layer that feeds them.
    """
    yield Point(depth_index=1, affine=stem.affine, output=stem, activation=getattr(stem, "activation", None))
    depth_index = 2
    for block in blocks:
        yield from block_points(block, depth_index)
        depth_index += len(block_layers(block))
    yield Point(depth_index=depth_index, affine=head, output=head)
    for depth, auxiliary_head in auxiliary.items():
        yield Point(depth_index=int(depth), role="auxiliary", affine=auxiliary_head, output=auxiliary_head)


def block_layers(block: Any) -> list[Any]:
    """Return the layers of a residual block or, in a plain network, of the sequence used in its place."""
    return list(getattr(block, "branch", block))


def block_points(block: Any, start: int) -> Iterator[Point]:
    """Yield the points of one block: its layers, numbered from ``start``, then its gate and its projection shortcut.

    Args:
        block: A residual block (its layers in ``branch``) or, in a plain network, the sequence of layers itself.
        start: depth_index of the first layer.
    """
    layers = block_layers(block)
    for i, layer in enumerate(layers):
        last = i == len(layers) - 1
        yield Point(
            depth_index=start + i,
            affine=layer.affine,
            output=block if last else layer,
            # an activation after the sum (He et al. 2015) counts as the last layer's
            activation=getattr(layer, "activation", getattr(block, "activation", None)),
            fork=getattr(block, "fork", None) if i == 0 else None,
        )
    gate = getattr(block, "gate", None)
    if gate is not None:
        yield Point(depth_index=start, role="gate", affine=gate.affine, output=gate, activation=gate.activation)
    shortcut: Any = getattr(block, "shortcut", None)
    if hasattr(shortcut, "affine"):  # a projection: other shortcuts have no weights
        yield Point(depth_index=start, role="shortcut", affine=shortcut.affine, output=shortcut)
