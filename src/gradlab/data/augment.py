"""Data augmentation: random changes to the inputs of a batch, with a separate random generator."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gradlab.data.transfer import send

Augment = Callable[[Tensor, torch.Generator], Tensor]


def unchanged(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Return the inputs unchanged: no augmentation."""
    return inputs


def crop_and_flip(images: Tensor, generator: torch.Generator, *, padding: int = 4) -> Tensor:
    """Take a random crop of each zero-padded image, and mirror images with probability 1/2.

    Source: He et al. 2015, "Deep residual learning", section 4.2.

    Args:
        images: Images [n, channels, height, width] on any device.
        generator: Random generator on the CPU, so that every device gets the same crops.
        padding: Width of the zero padding in pixels.

    Returns:
        Images of the same shape.
    """
    n, _, height, width = images.shape
    top, left = torch.randint(2 * padding + 1, (2, n, 1), generator=generator)
    # Mirroring only reverses the order of the columns, so that crop and mirror are a single gather.
    mirrored = torch.randint(2, (n, 1), generator=generator) == 1
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    columns = torch.where(mirrored, columns.flip(1), columns)
    sample, rows, columns = (
        send(index, images.device) for index in (torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :])
    )
    return F.pad(images, (padding,) * 4)[sample, :, rows, columns].movedim(-1, 1).contiguous()


class Augmented:
    """Mini-batches with augmented inputs.

    Args:
        batches: An iterator over (inputs, targets) with ``epoch``, ``state_dict`` and ``load_state_dict``.
        augment: Changes the inputs.
        seed: Seed of the augmentation.
    """

    def __init__(self, batches: Any, augment: Augment, *, seed: int) -> None:
        self._batches = batches
        self._augment = augment
        self._generator = torch.Generator().manual_seed(seed)

    @property
    def epoch(self) -> float:
        """Passes over the samples so far."""
        return self._batches.epoch

    @property
    def plain(self) -> Any:
        """The underlying batches if there is no augmentation, else None."""
        return self._batches if self._augment is unchanged else None

    def __iter__(self) -> "Augmented":
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        """Return the next batch: inputs [batch, ...] and targets [batch, ...]."""
        inputs, targets = next(self._batches)
        return self._augment(inputs, self._generator), targets

    def state_dict(self) -> dict[str, Any]:
        """Return the state from which `load_state_dict` resumes."""
        return {"batches": self._batches.state_dict(), "augment": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from ``state``."""
        self._batches.load_state_dict(state["batches"])
        self._generator.set_state(state["augment"])
