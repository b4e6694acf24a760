"""The order of samples in endless mini-batches: determined by a seed, and resumable from a checkpoint."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gradlab.data.transfer import send


class Order:
    """An endless iterator over the indices of mini-batches, reshuffled every epoch or always in the samples' order.

    The order is drawn on the CPU by a separate generator, so it is the same on every device and independent of other
    random numbers. An incomplete last batch of an epoch is dropped. A batch size above the number of samples gives the
    whole set.

    Args:
        samples: Number of samples, at least 1.
        batch_size: Samples per batch, at least 1.
        seed: Seed of the order.
        device: Device of the indices.
        ordered: Whether to keep the samples in their order.

    Raises:
        ValueError: If ``batch_size`` or ``samples`` is below 1.
    """

    def __init__(
        self, samples: int, *, batch_size: int, seed: int, device: torch.device | str = "cpu", ordered: bool = False
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if samples < 1:
            raise ValueError("there are no samples to train on")
        self._samples = samples
        self._size = min(batch_size, samples)
        self._device = device
        self._ordered = ordered
        self._generator = torch.Generator().manual_seed(seed)
        self._drawn = 0
        self._shuffle()

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches in one pass over the samples."""
        return self._samples // self._size

    @property
    def epoch(self) -> float:
        """Passes over the samples so far: 0.0 before the first batch, 1.5 in the middle of the second pass."""
        return self._drawn / self.batches_per_epoch

    def __iter__(self) -> "Order":
        return self

    def __next__(self) -> Tensor:
        """Return the indices of the next batch, int64 [batch]."""
        start = self._drawn % self.batches_per_epoch * self._size
        batch = self._indices[start : start + self._size]
        self._drawn += 1
        if self._drawn % self.batches_per_epoch == 0:
            self._shuffle()
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return the state from which `load_state_dict` resumes: a uint8 tensor and an int."""
        return {"generator": self._generator_at_shuffle.clone(), "drawn": self._drawn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from ``state``, which must be of the same number of samples and batch size."""
        self._generator.set_state(state["generator"])
        self._drawn = state["drawn"]
        self._shuffle()

    def _shuffle(self) -> None:
        # a checkpoint saves the generator's state before the shuffle, not the order, which is as long as the data set
        self._generator_at_shuffle = self._generator.get_state()
        order = (
            torch.arange(self._samples) if self._ordered else torch.randperm(self._samples, generator=self._generator)
        )
        self._indices = send(order, self._device)
