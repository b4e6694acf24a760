"""The next mini-batches of several runs, as one."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gradlab.data.augment import Augmented
from gradlab.data.batches import Batches


class Together:
    """The batches of K runs, drawn from each run's own iterator, side by side.

    Args:
        batches: The runs' iterators; they move on as they would alone.
    """

    def __init__(self, batches: Sequence[Any]) -> None:
        self._all = batches
        plain = [each.plain for each in batches if isinstance(each, Augmented)]
        whole = [each for each in plain if isinstance(each, Batches)]
        self._shared = whole if len(whole) == len(batches) and all(one.shares(whole[0]) for one in whole) else []

    @property
    def epoch(self) -> float:
        """Passes over the samples so far, the same for every run."""
        return self._all[0].epoch

    def next(self) -> tuple[Tensor, Tensor]:
        """Return the next batches: inputs [K * batch, ...], run by run, and targets [K, batch, ...]."""
        if self._shared:  # one gathering in place of K
            chosen = torch.stack([each.choose() for each in self._shared])
            inputs, targets = self._shared[0].at(chosen)
            return inputs.flatten(0, 1), targets
        inputs, targets = zip(*(next(each) for each in self._all), strict=True)
        return torch.cat(inputs), torch.stack(targets)
