"""Tests of a recurrent net's memory: the adding problem and the copy memory problem."""

from functools import partial
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn import functional as F

from gradlab.data.fresh import Fresh
from gradlab.data.images import Scale

COPIED = 10  # number of symbols to remember
SYMBOLS = 8  # size of the alphabet from which they are drawn
BLANK, DELIMITER = 8, 9


def adding(
    *,
    length: Annotated[int, Ge(2)] = 100,
    seed: Annotated[int, Ge(0)] = 0,
    test_samples: Annotated[int, Ge(1)] = 1000,
    epoch_samples: Annotated[int, Ge(1)] = 10_000,
    scale: Scale = 1.0,
) -> Fresh:
    """Return the adding problem: add two marked numbers (Hochreiter & Schmidhuber 1997, as in Arjovsky et al. 2016).

    The numbers are drawn from U[0, 1]; one in each half is marked. Always predicting 1 has a mean squared error of 1/6,
    the variance of the sum.

    Args:
        length: Number T of time steps.
        seed: Seed of the test set; training batches depend on the run's seed.
        test_samples: Number of test samples.
        epoch_samples: Number of training samples, always new, that count as an epoch.
        scale: Factor on the inputs.

    Returns:
        Inputs [n, T, 2], number and marker, and targets [n, 1].
    """
    return Fresh(
        draw=partial(draw_adding, length=length, scale=scale),
        seed=seed,
        test_samples=test_samples,
        epoch_samples=epoch_samples,
        outputs=1,
        task="regression",
    )


def copy_memory(
    *,
    length: Annotated[int, Ge(1)] = 100,
    seed: Annotated[int, Ge(0)] = 0,
    test_samples: Annotated[int, Ge(1)] = 1000,
    epoch_samples: Annotated[int, Ge(1)] = 10_000,
    scale: Scale = 1.0,
) -> Fresh:
    """Return the copy memory problem: repeat ten symbols after a pause (Arjovsky et al. 2016).

    The input is ten symbols of an alphabet of eight, T - 1 blanks, a delimiter, and ten blanks. The target is T + 10
    blanks and the ten symbols, one output at each of T + 20 time steps. Without memory the cross-entropy, a mean over
    time steps too, cannot fall below 10 ln 8 / (T + 20).

    Args:
        length: Length T of the pause.
        seed: Seed of the test set; training batches depend on the run's seed.
        test_samples: Number of test samples.
        epoch_samples: Number of training samples, always new, that count as an epoch.
        scale: Factor on the inputs.

    Returns:
        Inputs [n, T + 20, 10], one-hot, and targets [n, T + 20] in nine classes: eight symbols and the blank.
    """
    return Fresh(
        draw=partial(draw_copy_memory, length=length, scale=scale),
        seed=seed,
        test_samples=test_samples,
        epoch_samples=epoch_samples,
        outputs=SYMBOLS + 1,
        task="classification",
        each_step=True,
    )


def draw_adding(count: int, numbers: torch.Generator, *, length: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Draw samples of the adding problem: inputs [count, length, 2] and targets [count, 1]."""
    values = torch.rand(count, length, generator=numbers)
    half = length // 2
    first = torch.randint(half, (count, 1), generator=numbers)
    second = torch.randint(half, length, (count, 1), generator=numbers)
    marked = torch.cat([first, second], dim=1)
    markers = torch.zeros(count, length).scatter_(1, marked, 1.0)
    return scale * torch.stack([values, markers], dim=2), values.gather(1, marked).sum(1, keepdim=True)


def draw_copy_memory(count: int, numbers: torch.Generator, *, length: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Draw samples of the copy memory: inputs [count, length + 20, 10] and targets [count, length + 20]."""
    symbols = torch.randint(SYMBOLS, (count, COPIED), generator=numbers)
    steps = length + 2 * COPIED
    shown = torch.full((count, steps), BLANK)
    shown[:, :COPIED] = symbols
    shown[:, -COPIED - 1] = DELIMITER  # one step before the ten symbols must be repeated
    targets = torch.full((count, steps), BLANK)
    targets[:, -COPIED:] = symbols
    return scale * F.one_hot(shown, DELIMITER + 1).to(torch.float32), targets
