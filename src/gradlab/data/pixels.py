"""Conversion of pixels, bytes from 0 to 255, to a network's inputs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gradlab.data.transfer import send


@dataclass(frozen=True, eq=False, kw_only=True)
class Pixels:
    """An affine map of each channel: (pixel - mean) / std * scale.

    Attributes:
        mean: Mean of each channel, [channels, 1, 1].
        std: Divisor of each channel, [channels, 1, 1].
        scale: Factor on the result.
    """

    mean: Tensor
    std: Tensor
    scale: float

    def __call__(self, images: Tensor) -> Tensor:
        """Map bytes [..., channels, height, width] on any device to float32 of that shape."""
        mean, std = send(self.mean, images.device), send(self.std, images.device)
        return images.to(torch.float32).sub_(mean).div_(std).mul_(self.scale)


def fit_pixels(images: Tensor, *, standardize: bool, scale: float) -> Pixels:
    """Return the map to mean 0 and variance 1 of each channel over all ``images``, or to [0, 1]; times ``scale``.

    A constant channel carries no information and becomes 0.

    Args:
        images: Bytes [n, channels, height, width], of training images only.
        standardize: Whether to standardise; otherwise pixels are divided by 255.
        scale: Factor on the result.
    """
    channels = images.shape[1]
    if not standardize:
        return Pixels(mean=torch.zeros(channels, 1, 1), std=torch.full((channels, 1, 1), 255.0), scale=scale)
    values = torch.arange(256, dtype=torch.float64)
    # counts of each byte: exact, and small, while a float copy of a large set could fill the memory
    shares = torch.stack([torch.bincount(images[:, c].flatten(), minlength=256) for c in range(channels)]).double()
    shares /= shares.sum(1, keepdim=True)
    mean = shares @ values
    std = (shares * (values - mean[:, None]) ** 2).sum(1).sqrt()
    std = torch.where(std > 0, std, torch.inf)
    return Pixels(mean=mean.float().view(-1, 1, 1), std=std.float().view(-1, 1, 1), scale=scale)
