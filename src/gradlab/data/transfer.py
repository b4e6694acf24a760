"""From the CPU to where a network is, without making the CPU wait for it."""

import torch
from torch import Tensor


def send(x: Tensor, device: torch.device | str, dtype: torch.dtype | None = None) -> Tensor:
    """Return ``x`` on ``device`` as ``dtype``; a copy to CUDA goes through pinned memory and is not waited for.

    Args:
        x: Tensor on the CPU, which must not be written to afterwards.
        device: Where it is wanted.
        dtype: Its number type there; that of ``x`` by default.
    """
    if x.device.type != "cpu" or torch.device(device).type != "cuda":
        return x.to(device, dtype)
    return x.to(dtype).pin_memory().to(device, non_blocking=True)
