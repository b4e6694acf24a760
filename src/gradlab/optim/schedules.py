"""Learning-rate schedules that ``torch.optim.lr_scheduler`` does not have in one piece.

A schedule is stepped once per optimizer step: after t steps the learning rate is its starting value times a factor
of t.
"""

from functools import partial
from math import cos, pi
from typing import Annotated

from annotated_types import Ge, Le
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

Fraction = Annotated[float, Ge(0), Le(1)]


def warmup_cosine_factor(t: int, *, steps: int, warmup_steps: int, start_factor: float, end_factor: float) -> float:
    """Return the factor on the learning rate after ``t`` optimizer steps; see `warmup_cosine`."""
    if t < warmup_steps:
        return start_factor + (1 - start_factor) * t / warmup_steps
    progress = min(1.0, (t - warmup_steps) / max(1, steps - warmup_steps))
    return end_factor + (1 - end_factor) * (1 + cos(pi * progress)) / 2


def warmup_cosine(
    optimizer: Optimizer,
    *,
    steps: Annotated[int, Ge(1)],
    warmup_steps: Annotated[int, Ge(0)],
    start_factor: Fraction = 0.01,
    end_factor: Fraction = 0.0,
) -> LambdaLR:
    """Build a schedule that rises linearly for ``warmup_steps``, then falls along half a cosine until ``steps``.

    Goyal et al. 2017, section 2.2 (warm-up); Loshchilov & Hutter 2017, eq. 5 (cosine). Computed from t alone, whereas
    torch's chain of a linear and a cosine schedule is recursive and warns of a deprecated call. A run shorter than
    the warm-up ends while the learning rate still rises.

    Args:
        optimizer: Optimizer whose learning rates are the schedule's peak.
        steps: Optimizer steps of the whole run, warm-up included.
        warmup_steps: Step at which the peak is reached; 0 for none.
        start_factor: Factor at step 0 of a warm-up.
        end_factor: Factor at ``steps`` and after.
    """
    factor = partial(
        warmup_cosine_factor,
        steps=steps,
        warmup_steps=warmup_steps,
        start_factor=start_factor,
        end_factor=end_factor,
    )
    return LambdaLR(optimizer, factor)
