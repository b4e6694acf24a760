"""Which modules of a block belong to which of its layers."""

from collections.abc import Iterator
from typing import Any

from gradlab.points import Point


def block_layers(block: Any) -> list[Any]:
    """Return the layers of a residual block or, in a plain network, of the sequence that stands in its place."""
    return list(getattr(block, "branch", block))


def block_points(block: Any, start: int) -> Iterator[Point]:
    """Yield the points of one block: its layers, numbered from ``start``, then what stands beside them.

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
            # the activation after the sum (He 2015) is the last layer's own
            activation=getattr(layer, "activation", getattr(block, "activation", None)),
            fork=getattr(block, "fork", None) if i == 0 else None,
        )
    gate = getattr(block, "gate", None)
    if gate is not None:
        yield Point(depth_index=start, role="gate", affine=gate.affine, output=gate, activation=gate.activation)
