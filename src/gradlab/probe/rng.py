"""Restore the random state after a measurement."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def untouched_rng(device: torch.device) -> Iterator[None]:
    """Save and restore the random state, so that measuring code may draw numbers without changing training."""
    cuda = device.type == "cuda"
    state = torch.cuda.get_rng_state(device) if cuda else torch.get_rng_state()
    try:
        yield
    finally:
        torch.cuda.set_rng_state(state, device) if cuda else torch.set_rng_state(state)
