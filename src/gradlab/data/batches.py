"""Endless mini-batches, from tensors in memory or through loader processes."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from gradlab.data.order import Order


class Batches:
    """An endless iterator over mini-batches of whole tensors, in an `Order`.

    Args:
        inputs: Inputs [n, ...].
        targets: Targets [n, ...] on the same device.
        batch_size: Samples per batch, at least 1.
        seed: Seed of the order.
        ordered: Whether to keep the samples in their order.

    Raises:
        ValueError: If ``batch_size`` is below 1, the set is empty, or inputs and targets differ in number.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, *, batch_size: int, seed: int, ordered: bool = False) -> None:
        if not 0 < len(inputs) == len(targets):
            raise ValueError(
                f"need equally many inputs and targets, at least one; got {len(inputs)} and {len(targets)}"
            )
        self._inputs = inputs
        self._targets = targets
        self._order = Order(len(inputs), batch_size=batch_size, seed=seed, device=inputs.device, ordered=ordered)

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches in one pass over the samples."""
        return self._order.batches_per_epoch

    @property
    def epoch(self) -> float:
        """Passes over the samples so far: 0.0 before the first batch, 1.5 in the middle of the second pass."""
        return self._order.epoch

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        """Return the next batch: inputs [batch, ...] and targets [batch, ...]."""
        return self.at(self.choose())

    def choose(self) -> Tensor:
        """Draw the next batch and return its indices, int64 [batch]."""
        return next(self._order)

    def at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs and targets at indices of any shape."""
        return self._inputs[indices], self._targets[indices]

    def shares(self, other: "Batches") -> bool:
        """Return whether both draw from the same tensors."""
        return self._inputs is other._inputs and self._targets is other._targets

    def state_dict(self) -> dict[str, Any]:
        """Return the state from which `load_state_dict` resumes: a uint8 tensor and an int."""
        return self._order.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from ``state``, which must be of the same samples and batch size."""
        self._order.load_state_dict(state)


class Stream:
    """An endless iterator over mini-batches of samples that worker processes read ahead, in the order of `Batches`.

    Args:
        samples: Sequence of (uint8 tensor, class index).
        batch_size: Samples per batch, at least 1.
        seed: Seed of the order.
        prepare: Moves a batch to its device and converts it to floating inputs and int64 targets.
        **loading: Further arguments of torch's ``DataLoader``, such as ``num_workers``.

    Raises:
        ValueError: If ``batch_size`` is below 1 or there are no samples.
    """

    def __init__(
        self, samples: Any, *, batch_size: int, seed: int, prepare: Callable[[Tensor, Tensor], Any], **loading: Any
    ) -> None:
        self._samples = samples
        self._prepare = prepare
        self._loading = loading
        # two orders, because the loader draws batches ahead of the ones returned, and only those count for a checkpoint
        self._order, self._ahead = (Order(len(samples), batch_size=batch_size, seed=seed) for _ in range(2))
        self._loader: Iterator[Any] | None = None

    @property
    def epoch(self) -> float:
        """Passes over the samples so far."""
        return self._order.epoch

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        """Return the next batch: inputs [batch, ...] and targets [batch]."""
        if self._loader is None:
            self._ahead.load_state_dict(self._order.state_dict())
            self._loader = iter(loader(self._samples, batch_sampler=map(Tensor.tolist, self._ahead), **self._loading))
        next(self._order)
        return self._prepare(*next(self._loader))

    def state_dict(self) -> dict[str, Any]:
        """Return the state from which `load_state_dict` resumes: a uint8 tensor and an int."""
        return self._order.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from ``state``, which must be of the same samples and batch size."""
        self._order.load_state_dict(state)
        self._loader = None


def loader(samples: Any, **options: Any) -> DataLoader[Any]:
    """Return a ``DataLoader`` that draws no numbers from torch's global generator, which training uses."""
    return DataLoader(samples, generator=torch.Generator(), **options)
