"""Shortcuts that change the shape of the map, for blocks between stages."""

from torch import Tensor, nn
from torch.nn import functional as F

from gradlab.nn.layers import Initializer, Normalization, layer


class ZeroPad(nn.Module):
    """The identity on every ``stride``-th pixel, with channels of zeros appended: no parameters.

    Source: He et al. 2015, "Deep residual learning", section 3.3, option A.

    Args:
        channels: Number of channels to append.
        stride: Step between the pixels that are kept.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, c, h, w] to [n, c + channels, ceil(h / stride), ceil(w / stride)]."""
        return F.pad(x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.channels))


def projection(
    channels: int,
    out: int,
    *,
    stride: int,
    order: tuple[str, ...],
    initializer: Initializer,
    normalization: Normalization,
) -> nn.Sequential:
    """Return a learned 1x1 convolution, normalized if the branch ends normalized (He et al. 2015, option B).

    Args:
        channels: Number of channels of the block's input.
        out: Number of channels of its output.
        stride: Step between the pixels that are kept.
        order: ``("affine", "normalization")``, or ``("affine",)`` for no normalization.
        initializer: Rule that sets the weight.
        normalization: Factory of the normalization.
    """
    return layer(
        nn.Conv2d(channels, out, 1, stride=stride, bias=False),
        order=order,
        features=out,
        activation=nn.Identity,
        initializer=initializer,
        normalization=normalization,
    )
