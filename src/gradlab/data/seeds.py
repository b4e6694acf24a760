"""Random generators for data, independent of the network's weights under the same seed."""

import torch


def generator(seed: int, *, purpose: str = "data") -> torch.Generator:
    """Return a separate CPU generator for each seed and purpose.

    With the plain seed, a network initialized under it would draw the same normal numbers: its first weights would
    equal the inputs.

    Args:
        seed: A run's seed.
        purpose: Four ASCII letters; different letters give different numbers.
    """
    # torch uses only the low 32 bits of a seed, so the offset must be within them
    return torch.Generator().manual_seed((seed + int.from_bytes(purpose.encode("ascii"))) % 2**32)
