"""Random numbers that nobody misses."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def untouched_rng(device: torch.device) -> Iterator[None]:
    """Give back the random state afterwards: what is measured may draw, and training must not notice."""
    cuda = device.type == "cuda"
    state = torch.cuda.get_rng_state(device) if cuda else torch.get_rng_state()
    try:
        yield
    finally:
        torch.cuda.set_rng_state(state, device) if cuda else torch.set_rng_state(state)
