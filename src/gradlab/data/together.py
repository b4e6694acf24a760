"""Mini-batches of several fused runs, concatenated."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gradlab.data.augment import Augmented
from gradlab.data.batches import Batches


class Together:
    """The batches of K runs, each drawn from the run's own iterator.

    Args:
        batches: The runs' iterators; each advances as it would in a single run.
    """

    def __init__(self, batches: Sequence[Any]) -> None:
        self._all = batches
        plain = [augmented.plain for augmented in batches if isinstance(augmented, Augmented)]
        in_memory = [run for run in plain if isinstance(run, Batches)]
        shared = len(in_memory) == len(batches) and all(run.shares(in_memory[0]) for run in in_memory)
        self._shared = in_memory if shared else []

    @property
    def epoch(self) -> float:
        """Passes over the samples so far, the same for every run."""
        return self._all[0].epoch

    def next(self) -> tuple[Tensor, Tensor]:
        """Return the next batches: inputs [K * batch, ...], run by run, and targets [K, batch, ...]."""
        if self._shared:  # all runs use the same tensors, so one gather replaces K
            indices = torch.stack([run.choose() for run in self._shared])
            inputs, targets = self._shared[0].at(indices)
            return inputs.flatten(0, 1), targets
        inputs, targets = zip(*(next(run) for run in self._all), strict=True)
        return torch.cat(inputs), torch.stack(targets)
