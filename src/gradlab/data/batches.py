"""Mini-batches without end, in an order that a seed fixes and a checkpoint can take up again."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Batches:
    """An endless iterator over mini-batches, shuffled anew every epoch, or always in the samples' own order.

    The order is drawn on the CPU by a generator of its own, so every device sees the same one and nothing else that
    draws random numbers can change it. The last batch of an epoch is dropped where it would be incomplete; a batch
    size above the number of samples gives the whole set.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, *, batch_size: int, seed: int, ordered: bool = False) -> None:
        """Start at the first batch.

        Args:
            inputs: Inputs [n, ...].
            targets: Targets [n, ...] on the same device.
            batch_size: Samples per batch, at least 1.
            seed: Seed of the order.
            ordered: Whether to leave the samples in their order.

        Raises:
            ValueError: If ``batch_size`` is below 1, or the set is empty or its parts differ in length.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not 0 < len(inputs) == len(targets):
            raise ValueError(f"need as many inputs as targets, at least one; got {len(inputs)} and {len(targets)}")
        self._inputs = inputs
        self._targets = targets
        self.size = min(batch_size, len(inputs))
        self._generator = torch.Generator().manual_seed(seed)
        self._ordered = ordered
        self._drawn = 0
        self._shuffle()

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches in one pass over the samples."""
        return len(self._inputs) // self.size

    @property
    def epoch(self) -> float:
        """Passes over the samples so far: 0.0 before the first batch, 1.5 in the middle of the second pass."""
        return self._drawn / self.batches_per_epoch

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        """Return the next batch: inputs [batch, ...] and targets [batch, ...]."""
        start = self._drawn % self.batches_per_epoch * self.size
        chosen = self._order[start : start + self.size]
        self._drawn += 1
        if self._drawn % self.batches_per_epoch == 0:
            self._shuffle()
        return self._inputs[chosen], self._targets[chosen]

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on from here: a uint8 tensor and an int."""
        return {"generator": self._generator_at_shuffle.clone(), "drawn": self._drawn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was taken, from the same samples with the same batch size."""
        self._generator.set_state(state["generator"])
        self._drawn = state["drawn"]
        self._shuffle()

    def _shuffle(self) -> None:
        # The state before the draw stands for the whole order, which is as long as the data set.
        self._generator_at_shuffle = self._generator.get_state()
        samples = len(self._inputs)
        order = torch.arange(samples) if self._ordered else torch.randperm(samples, generator=self._generator)
        self._order = order.to(self._inputs.device)
