"""Generators of random numbers for data, away from those that the same seed gives a network's weights."""

import torch


def generator(seed: int, *, purpose: str = "data") -> torch.Generator:
    """Return a CPU generator of its own for each seed and purpose.

    A network initialized under the same seed draws the same normal numbers: its first weights would equal the inputs.

    Args:
        seed: A run's seed.
        purpose: Four letters; other letters give other numbers.
    """
    # Only the low 32 bits of a seed count, so the offset must stand there.
    return torch.Generator().manual_seed((seed + int.from_bytes(purpose.encode("ascii"))) % 2**32)
