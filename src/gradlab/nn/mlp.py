"""Multilayer perceptrons and the linear model."""

from collections.abc import Iterator
from functools import partial
from math import prod

from torch import Tensor, nn

from gradlab.interfaces import Point, Supervised
from gradlab.nn.layers import (
    AFFINE_FIRST,
    Activation,
    Initializer,
    Normalization,
    Residual,
    block_lengths,
    layer,
    require_positive,
    signal_before,
    trait,
)
from gradlab.nn.network import Network


class MLP(Network):
    """``depth`` hidden weight layers of equal width and a linear head, built from named parts.

    The first layer (input to width) and the head are outside the residual blocks, which hold ``block_depth`` layers
    each; an incomplete last block is shorter. With activation-first blocks the first layer is a bare affine map.

    Args:
        input_shape: Shape of one input; it is flattened.
        outputs: Number of classes, or of regression targets.
        depth: Number of hidden weight layers.
        width: Number of units in each hidden layer.
        bias: Whether the affine maps, including the head, have a bias.
        block_depth: Number of weight layers that one skip spans.
        auxiliary_every: Number of layers between auxiliary heads (deep supervision, `Auxiliary`); 0 for none.
        auxiliary_weight: Factor on the auxiliary heads' losses.
        activation: Factory of the activation.
        initializer: Rule that sets weights and biases.
        normalization: Factory of the normalization.
        residual: Factory of the residual blocks.

    Raises:
        ValueError: If ``depth``, ``width`` or ``block_depth`` is below 1.
    """

    def __init__(
        self,
        *,
        input_shape: tuple[int, ...],
        outputs: int,
        depth: int,
        width: int,
        bias: bool,
        block_depth: int,
        auxiliary_every: int = 0,
        auxiliary_weight: float = 0.3,
        activation: Activation,
        initializer: Initializer,
        normalization: Normalization,
        residual: Residual,
    ) -> None:
        require_positive(depth=depth, width=width, block_depth=block_depth)
        order = trait(residual, "order", AFFINE_FIRST)

        def build(features: int, parts: tuple[str, ...], rule: Initializer = initializer) -> nn.Sequential:
            return layer(
                nn.Linear(features, width, bias=bias),
                order=parts,
                features=width,
                activation=activation,
                initializer=rule,
                normalization=normalization,
            )

        def block(index: int, length: int, blocks: int, rule: Initializer = initializer) -> nn.Module:
            branch = nn.Sequential(*(build(width, order, rule) for _ in range(length)))
            return residual(branch, nn.Identity(), index, blocks)

        lengths = block_lengths(depth - 1, block_depth)
        super().__init__(
            # activation-first blocks start with a normalization and an activation, so the stem ends without
            stem=build(prod(input_shape), order if order == AFFINE_FIRST else ("affine",)),
            blocks=[block(index, length, len(lengths)) for index, length in enumerate(lengths)],
            lengths=lengths,
            features=[width] * (len(lengths) + 1),
            outputs=outputs,
            bias=bias,
            initializer=initializer,
            residual=residual,
            auxiliary_every=auxiliary_every,
            auxiliary_weight=auxiliary_weight,
            further_block=block,
            block_depth=block_depth,
            signal=partial(signal_before, order, activation, (width,)),
        )

    def forward(self, x: Tensor) -> Tensor | Supervised:
        """Map inputs [n, *input_shape] to logits or values [n, outputs]; in training also those of auxiliary heads."""
        return super().forward(x.flatten(1))


class LinearModel(nn.Module):
    """One affine map from the flattened input to the output, without hidden layers.

    Args:
        input_shape: Shape of one input.
        outputs: Number of classes, or of regression targets.
        bias: Whether the map has a bias.
        initializer: Rule that sets weight and bias.
    """

    def __init__(self, *, input_shape: tuple[int, ...], outputs: int, bias: bool, initializer: Initializer) -> None:
        super().__init__()
        self.head = nn.Linear(prod(input_shape), outputs, bias=bias)
        initializer(self.head, activation=nn.Identity())
        self._finisher = trait(initializer, "finish", None)

    def finish(self, batch: Tensor) -> None:
        """Run the initializer's ``finish``, if it has one, on inputs [n, *input_shape]."""
        if self._finisher is not None:
            self._finisher(self, batch)

    def points(self) -> Iterator[Point]:
        """Yield the model's only point."""
        yield Point(depth_index=1, affine=self.head, output=self.head)

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs [n, *input_shape] to logits or values [n, outputs]."""
        return self.head(x.flatten(1))
