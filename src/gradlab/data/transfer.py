"""Asynchronous copies from the CPU to a device."""

import torch
from torch import Tensor


def send(x: Tensor, device: torch.device | str, dtype: torch.dtype | None = None) -> Tensor:
    """Return ``x`` on ``device`` as ``dtype``; a copy to CUDA goes through pinned memory and is asynchronous.

    Args:
        x: Tensor on the CPU, which must not be modified afterwards.
        device: Target device.
        dtype: Target number type; by default that of ``x``.
    """
    if x.device.type != "cpu" or torch.device(device).type != "cuda":
        return x.to(device, dtype)
    return x.to(dtype).pin_memory().to(device, non_blocking=True)
