"""Euclidean norms that do not underflow or overflow where the squares of the numbers do.

A float32 square vanishes below about 1e-23 and overflows above about 1e19, so a plain ``vector_norm`` calls the
gradients of a deep sigmoid network zero long before they are. Its float32 accumulation also loses digits: about 1e-3
of the norm of 16 million numbers. Both matter here, because these norms are what gradlab reports and clips by.
"""

from collections.abc import Iterable
from math import sqrt

import numpy as np
import torch
from torch import Tensor

# Numbers in one float32 dot product. The relative error is about 1e-7 for entries of one size, and below CHUNK / 2^24
# whatever they are; a chunk still fits in the cache.
CHUNK = 1 << 16
SAFE_SQUARES = (1e-30, 1e30)  # squared norms within float32's range, with a margin at both ends
SAFE_NORMS = (1e-15, 1e15)  # norms with squares in that range


def host_norm(x: Tensor) -> float:
    """Return the Euclidean norm of a CPU tensor, from float32 sums, or by `norm` where these leave the safe range.

    Args:
        x: Tensor of any shape on the CPU that does not require grad.

    Returns:
        The norm over all entries; nan or inf where the entries hold one, 0.0 only where all are exactly zero.
    """
    if x.dtype is not torch.float32 and x.dtype is not torch.float64:
        return float(norm(x))
    flat = x.numpy().ravel("K")  # memory order, so that channels-last maps are not copied
    if flat.size <= CHUNK:
        square = float(flat.dot(flat))
    else:
        square = sum(float(part.dot(part)) for part in (flat[i : i + CHUNK] for i in range(0, flat.size, CHUNK)))
    if SAFE_SQUARES[0] < square < SAFE_SQUARES[1]:
        return sqrt(square)
    return float(norm(x)) if flat.any() else 0.0


def quiet() -> np.errstate:
    """Return a context without numpy's warnings: an overflow in `host_norm` is expected and handled."""
    return np.errstate(over="ignore", under="ignore", invalid="ignore")


def norm(x: Tensor) -> Tensor:
    """Return the Euclidean norm as a 0-d float64 tensor on the device of ``x``, without a host synchronisation.

    The entries are divided by the largest absolute value before they are squared. If that is 0, inf or nan, so is the
    norm.

    Args:
        x: Tensor of any shape, real floating dtype and device.
    """
    if x.numel() == 0:
        return torch.zeros((), dtype=torch.float64, device=x.device)
    wide = x.detach().to(torch.float64)
    largest = wide.abs().amax()
    scalable = (largest > 0) & torch.isfinite(largest)
    scale = torch.where(scalable, largest, torch.ones_like(largest))
    return torch.where(scalable, scale * torch.linalg.vector_norm(wide / scale), largest)


def row_norms(x: Tensor) -> Tensor:
    """Return the Euclidean norm of each ``x[i]`` as a float64 tensor [n, 1, ..., 1] that broadcasts against ``x``.

    Like `norm`, without underflow, overflow or host synchronisation.

    Args:
        x: Tensor [n, ...] of at least two dimensions and one entry, real floating dtype and any device.
    """
    wide = x.detach().to(torch.float64)
    rest = tuple(range(1, x.dim()))
    largest = wide.abs().amax(dim=rest, keepdim=True)
    scalable = (largest > 0) & torch.isfinite(largest)
    units = torch.where(scalable, largest, torch.ones_like(largest))
    return torch.where(scalable, units * torch.linalg.vector_norm(wide / units, dim=rest, keepdim=True), largest)


def total_norm(tensors: Iterable[Tensor]) -> Tensor:
    """Return the norm of all entries of all tensors together, as a 0-d float64 tensor (0 where there are none).

    Args:
        tensors: Tensors of any shapes, all on one device.
    """
    with quiet():
        parts = [
            torch.tensor(host_norm(t.detach()), dtype=torch.float64) if t.device.type == "cpu" else norm(t)
            for t in tensors
        ]
    return norm(torch.stack(parts)) if parts else torch.zeros((), dtype=torch.float64)
