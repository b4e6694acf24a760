"""Endless data: every training batch is newly drawn from a formula, and no sample is used twice."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from gradlab.data.seeds import generator
from gradlab.data.transfer import send

Draw = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Fresh:
    """A data set drawn on demand, with the interface of `gradlab.data.dataset.Dataset`.

    Attributes:
        draw: Draws n samples from a CPU generator: inputs [n, *input_shape], and targets.
        seed: Seed of the test set, which is fixed.
        test_samples: Number of test samples.
        epoch_samples: Number of training samples that count as an epoch.
        outputs: Number of classes, or of values to predict.
        task: Kind of the targets, which determines the loss.
        each_step: Whether a model must return outputs for every time step of its input, as logits [n, outputs, T].
        device: Device of the batches.
        dtype: Number type of the inputs and of regression values.
    """

    draw: Draw
    seed: int
    test_samples: int
    epoch_samples: int
    outputs: int
    task: Literal["classification", "regression"]
    each_step: bool = False
    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the sample dimension."""
        return tuple(self.draw(1, torch.Generator())[0].shape[1:])  # on a throw-away generator

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Fresh":
        """Return the data set with batches on ``device``, and inputs and regression values as ``dtype``."""
        return replace(self, device=device, dtype=dtype)

    def batches(self, *, batch_size: int, seed: int) -> "FreshBatches":
        """Return endless training batches, determined by ``seed``."""
        return FreshBatches(self._draw, batch_size=batch_size, seed=seed, epoch_samples=self.epoch_samples)

    def test_batches(self, *, batch_size: int = 1024) -> Iterable[tuple[Tensor, Tensor]]:
        """Return the test set in batches."""
        inputs, targets = self._draw(self.test_samples, generator(self.seed, purpose="test"))
        return list(zip(inputs.split(batch_size), targets.split(batch_size), strict=True))

    def _draw(self, count: int, numbers: torch.Generator) -> tuple[Tensor, Tensor]:
        # drawn on the CPU, so that every device gets the same samples
        inputs, targets = self.draw(count, numbers)
        kind = self.dtype if targets.is_floating_point() else targets.dtype
        return send(inputs, self.device, self.dtype), send(targets, self.device, kind)


class FreshBatches:
    """An endless iterator over mini-batches of newly drawn samples.

    Args:
        draw: Draws n samples from a CPU generator.
        batch_size: Samples per batch, at least 1.
        seed: Seed of the samples.
        epoch_samples: Number of samples that count as an epoch.

    Raises:
        ValueError: If ``batch_size`` is below 1.
    """

    def __init__(self, draw: Draw, *, batch_size: int, seed: int, epoch_samples: int) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self._draw = draw
        self._size = batch_size
        self._epoch_samples = epoch_samples
        self._numbers = generator(seed)
        self._drawn = 0

    @property
    def epoch(self) -> float:
        """Number of samples drawn so far, in epochs."""
        return self._drawn * self._size / self._epoch_samples

    def __iter__(self) -> "FreshBatches":
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        """Return the next batch: inputs [batch, ...] and targets [batch, ...]."""
        self._drawn += 1
        return self._draw(self._size, self._numbers)

    def state_dict(self) -> dict[str, Any]:
        """Return the state from which `load_state_dict` resumes: a uint8 tensor and an int."""
        return {"generator": self._numbers.get_state(), "drawn": self._drawn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from ``state``, which must be of the same batch size."""
        self._numbers.set_state(state["generator"])
        self._drawn = state["drawn"]
