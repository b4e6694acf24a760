"""Convolutional networks in stages: the plain and residual nets of He et al., at any depth."""

from functools import partial
from typing import Literal

from torch import Tensor, nn

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
from gradlab.nn.normalization import check_single_pixels
from gradlab.nn.shortcuts import ZeroPad, projection


class CNN(Network):
    """``depth`` convolutions, a mean over the map and a linear head, built from named parts.

    The first layer of each stage but the first has stride 2: it halves the map and doubles the width. The first layer
    of the net (image to width) and the head are outside the residual blocks. The blocks hold ``block_depth`` layers
    each and are spread evenly over the stages; with fewer blocks than stages, each block is a stage. Depth 19, width
    16, three stages, block depth 2, batch norm and identity blocks make the CIFAR ResNet-20 (He et al. 2015, section
    4.2, where the head counts as a layer).

    Args:
        input_shape: [channels, height, width] of one image.
        outputs: Number of classes, or of regression targets.
        depth: Number of convolutions on the main path.
        width: Number of channels in the first stage.
        kernel_size: Side of the kernels, odd.
        stages: Number of stages.
        block_depth: Number of convolutions that one skip spans.
        padding_mode: Padding of a map: zeros, or its opposite edge (circular).
        shortcut: How the skip changes shape between stages: zero_pad appends channels of zeros, projection learns a
            1x1 convolution.
        bias: Whether the affine maps, including the head, have a bias.
        auxiliary_every: Number of layers between auxiliary heads (deep supervision, `Auxiliary`); 0 for none.
        auxiliary_weight: Factor on the auxiliary heads' losses.
        activation: Factory of the activation.
        initializer: Rule that sets weights and biases.
        normalization: Factory of the normalization.
        residual: Factory of the residual blocks.

    Raises:
        ValueError: If the inputs are not images, a size is below 1, ``kernel_size`` is even, circular padding is wider
            than the last map, or a normalization would see single numbers.
    """

    def __init__(
        self,
        *,
        input_shape: tuple[int, ...],
        outputs: int,
        depth: int,
        width: int,
        kernel_size: int,
        stages: int,
        block_depth: int,
        auxiliary_every: int = 0,
        auxiliary_weight: float = 0.3,
        padding_mode: Literal["zeros", "circular"],
        shortcut: Literal["zero_pad", "projection"],
        bias: bool,
        activation: Activation,
        initializer: Initializer,
        normalization: Normalization,
        residual: Residual,
    ) -> None:
        require_positive(depth=depth, width=width, kernel_size=kernel_size, stages=stages, block_depth=block_depth)
        if len(input_shape) != 3:
            raise ValueError(f"a CNN needs images (channels, rows, columns); this data set's inputs are {input_shape}")
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, so that a kernel has a centre; got {kernel_size}")
        lengths = block_lengths(depth - 1, block_depth)
        stages = min(stages, len(lengths))
        smallest = min(input_shape[1:])
        for _ in range(stages - 1):  # a padded convolution with stride 2 rounds up
            smallest = (smallest + 1) // 2
        if padding_mode == "circular" and kernel_size // 2 > smallest:
            raise ValueError(
                f"kernel_size {kernel_size} is too large for circular padding: the last map is {smallest} pixels wide"
            )
        order = trait(residual, "order", AFFINE_FIRST)

        def build(
            channels: int, out: int, stride: int, parts: tuple[str, ...], rule: Initializer = initializer
        ) -> nn.Sequential:
            return layer(
                nn.Conv2d(
                    channels,
                    out,
                    kernel_size,
                    stride=stride,
                    padding=kernel_size // 2,
                    padding_mode=padding_mode,
                    bias=bias,
                ),
                order=parts,
                features=channels if parts[0] == "normalization" else out,
                activation=activation,
                initializer=rule,
                normalization=normalization,
            )

        def skip(channels: int, out: int, stride: int) -> nn.Module:
            if (channels, stride) == (out, 1):
                return nn.Identity()
            if shortcut == "zero_pad":
                return ZeroPad(out - channels, stride)
            # with affine-first layers the branch ends normalized before the sum, so the projection does too
            parts = ("affine", "normalization") if order == AFFINE_FIRST else ("affine",)
            return projection(
                channels, out, stride=stride, order=parts, initializer=initializer, normalization=normalization
            )

        def block(index: int, length: int) -> nn.Module:
            # 0 in the first stage, and larger than the previous block's in the first block of each later stage
            stage, previous = (max(i, 0) * stages // len(lengths) for i in (index, index - 1))
            channels, out, stride = width * 2**previous, width * 2**stage, 1 + stage - previous
            first = build(channels, out, stride, order)
            branch = nn.Sequential(first, *(build(out, out, 1, order) for _ in range(length - 1)))
            return residual(branch, skip(channels, out, stride), index, len(lengths))

        def further_block(index: int, length: int, blocks: int, rule: Initializer) -> nn.Module:
            branch = nn.Sequential(*(build(features[-1], features[-1], 1, order, rule) for _ in range(length)))
            return residual(branch, nn.Identity(), index, blocks)

        features = [width, *(width * 2 ** (i * stages // len(lengths)) for i in range(len(lengths)))]
        super().__init__(
            # activation-first blocks start with a normalization and an activation, so the stem ends without
            stem=build(input_shape[0], width, 1, order if order == AFFINE_FIRST else ("affine",)),
            blocks=[block(index, length) for index, length in enumerate(lengths)],
            lengths=lengths,
            features=features,
            outputs=outputs,
            bias=bias,
            initializer=initializer,
            residual=residual,
            auxiliary_every=auxiliary_every,
            auxiliary_weight=auxiliary_weight,
            further_block=further_block,
            block_depth=block_depth,
            signal=partial(signal_before, order, activation, (features[-1], kernel_size, kernel_size)),
        )
        if input_shape[1:] == (1, 1):  # smaller maps of larger images belong to later stages, with more channels
            check_single_pixels(self)

    def summary(self, x: Tensor) -> Tensor:
        """Return the mean of each channel [n, c] of maps [n, c, h, w]."""
        return x.mean((2, 3))
