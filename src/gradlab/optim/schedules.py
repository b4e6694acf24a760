"""Learning-rate schedules: rules called as ``lr_scheduler(optimizer)``, stepped once after every optimizer step.

The optimizer's own learning rate is a schedule's initial or peak value. Most schedules multiply it by a plain function
of t, the number of steps done. Torch's classes accept many values that fail or misbehave in the middle of a run; here
the annotations state the limits, which are checked before the run begins. Schedules that depend on the training loss
are in ``feedback``.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import cos, pi, sqrt
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    StepLR,
)

Steps = Annotated[int, Ge(1)]
Span = Annotated[float, Gt(0)]  # a number of steps or, below 1, a fraction of the run; see `span`
Warmup = Annotated[float, Ge(0)]  # a `Span`, or 0 for no warm-up
Fraction = Annotated[float, Ge(0), Le(1)]
Factor = Annotated[float, Gt(0)]


def span(value: float, steps: int) -> int:
    """Return a number of optimizer steps, given as such or, below 1, as a fraction of the run's steps.

    Raises:
        ValueError: If ``value`` is above 1 and not whole.
    """
    if value < 1:
        return round(value * steps)
    if value != int(value):
        raise ValueError(f"{value} is neither a whole number nor a fraction of the run below 1")
    return int(value)


def constant(optimizer: Optimizer) -> LRScheduler:
    """Keep the learning rate constant."""
    return ConstantLR(optimizer, factor=1.0, total_iters=0)


def step(optimizer: Optimizer, *, steps: Steps, step_size: Span, gamma: Factor) -> LRScheduler:
    """Multiply the learning rate by ``gamma`` every ``step_size`` steps (He et al. 2016)."""
    return StepLR(optimizer, step_size=max(1, span(step_size, steps)), gamma=gamma)


def multistep(optimizer: Optimizer, *, steps: Steps, milestones: Sequence[Span], gamma: Factor) -> LRScheduler:
    """Multiply the learning rate by ``gamma`` at each milestone (He et al. 2016: at 1/2 and 3/4 of the run)."""
    return MultiStepLR(optimizer, milestones=[span(milestone, steps) for milestone in milestones], gamma=gamma)


def exponential(optimizer: Optimizer, *, gamma: Factor) -> LRScheduler:
    """Multiply the learning rate by ``gamma`` at every step."""
    return ExponentialLR(optimizer, gamma=gamma)


def polynomial(optimizer: Optimizer, *, total_iters: Steps, power: Annotated[float, Ge(0)]) -> LRScheduler:
    """Multiply the learning rate by (1 - t / total_iters)^power (Liu et al. 2015)."""
    return PolynomialLR(optimizer, total_iters=total_iters, power=power)


def cosine(optimizer: Optimizer, *, T_max: Steps, eta_min: Annotated[float, Ge(0)]) -> LRScheduler:  # noqa: N803
    """Fall along half a cosine to the learning rate ``eta_min`` at step ``T_max`` (Loshchilov & Hutter 2017)."""
    return CosineAnnealingLR(optimizer, T_max=T_max, eta_min=eta_min)


def warm_restarts(
    optimizer: Optimizer,
    *,
    steps: Steps,
    T_0: Span,  # noqa: N803
    T_mult: Annotated[int, Ge(1)],  # noqa: N803
    eta_min: Annotated[float, Ge(0)],
) -> LRScheduler:
    """Fall along half a cosine to ``eta_min`` and start again, each time more slowly (SGDR, Loshchilov & Hutter 2017).

    Args:
        optimizer: Optimizer whose learning rates are the start of each cycle.
        steps: Optimizer steps of the run.
        T_0: Length of the first cycle.
        T_mult: Length of each cycle over that of the one before.
        eta_min: Learning rate at the end of a cycle.
    """
    return CosineAnnealingWarmRestarts(optimizer, T_0=max(1, span(T_0, steps)), T_mult=T_mult, eta_min=eta_min)


def one_cycle(
    optimizer: Optimizer,
    *,
    steps: Steps,
    pct_start: Annotated[float, Gt(0), Lt(1)],
    div_factor: Annotated[float, Ge(1)],
    final_div_factor: Annotated[float, Ge(1)],
    cycle_momentum: bool,
    base_momentum: Annotated[float, Ge(0), Lt(1)],
    max_momentum: Annotated[float, Ge(0), Lt(1)],
) -> LRScheduler:
    """Rise to the optimizer's learning rate and fall far below it in one cycle of cosines (Smith & Topin 2017).

    Args:
        optimizer: Optimizer whose learning rates are the peak.
        steps: Optimizer steps of the run.
        pct_start: Share of the run in which the learning rate rises.
        div_factor: Peak over the learning rate at the start.
        final_div_factor: Learning rate at the start over that at the end.
        cycle_momentum: Whether momentum, or beta1, falls while the learning rate rises, and rises while it falls.
        base_momentum: Momentum at the peak.
        max_momentum: Momentum at the start and the end.

    Raises:
        ValueError: If the optimizer has no momentum to cycle, or the rise has a length of 0.
    """
    if pct_start * steps == 1:  # torch divides by the length of the rise, pct_start * steps - 1
        raise ValueError(f"pct_start={pct_start} of {steps} steps is a rise of length 0; make it slightly larger")
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=steps,
        pct_start=pct_start,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        cycle_momentum=cycle_momentum,
        base_momentum=base_momentum,
        max_momentum=max_momentum,
    )


def linear_factor(t: int, *, steps: int, start_factor: float, end_factor: float) -> float:
    """Return the factor after ``t`` steps of a straight line over ``steps`` steps; constant afterwards."""
    return start_factor + (end_factor - start_factor) * min(t, steps) / steps


def cosine_factor(t: int, *, steps: int, end_factor: float) -> float:
    """Return the factor after ``t`` steps of half a cosine from 1 over ``steps`` steps; constant afterwards."""
    return end_factor + (1 - end_factor) * (1 + cos(pi * min(1.0, t / steps))) / 2


def warmup_factor(t: int, *, warmup_steps: int, start_factor: float, then: Callable[[int], float]) -> float:
    """Return the factor of a linear rise from ``start_factor`` to 1, then ``then(steps since the rise ended)``."""
    if t < warmup_steps:
        return linear_factor(t, steps=warmup_steps, start_factor=start_factor, end_factor=1.0)
    return then(t - warmup_steps)


def inverse_sqrt_factor(t: int, *, warmup_steps: int) -> float:
    """Return the factor of `inverse_sqrt` after ``t`` steps."""
    return min((t + 1) / warmup_steps, sqrt(warmup_steps / (t + 1)))


def cyclic_factor(t: int, *, half: int, base_factor: float, decay: float) -> float:
    """Return the factor of `cyclic` after ``t`` steps, with ``half`` steps up and as many down."""
    cycle, step_in_cycle = divmod(t, 2 * half)
    height = 1 - abs(step_in_cycle / half - 1)
    return base_factor + (1 - base_factor) * height * decay**cycle


def linear(optimizer: Optimizer, *, steps: Steps, start_factor: Fraction, end_factor: Fraction) -> LRScheduler:
    """Change linearly from ``start_factor`` to ``end_factor`` times the learning rate over ``steps`` steps."""
    return LambdaLR(optimizer, partial(linear_factor, steps=steps, start_factor=start_factor, end_factor=end_factor))


def warmup_cosine(
    optimizer: Optimizer, *, steps: Steps, warmup_steps: Warmup, start_factor: Fraction, end_factor: Fraction
) -> LRScheduler:
    """Rise linearly for ``warmup_steps``, then fall along half a cosine until ``steps``.

    Goyal et al. 2017, section 2.2 (warm-up); Loshchilov & Hutter 2017, eq. 5 (cosine). A run shorter than the warm-up
    ends while the learning rate is still rising.

    Args:
        optimizer: Optimizer whose learning rates are the peak.
        steps: Optimizer steps of the whole run, including the warm-up.
        warmup_steps: Step at which the peak is reached; 0 for no warm-up.
        start_factor: Factor at step 0 of the warm-up.
        end_factor: Factor at step ``steps`` and after it.
    """
    warmup = span(warmup_steps, steps)
    fall = partial(cosine_factor, steps=max(1, steps - warmup), end_factor=end_factor)
    return LambdaLR(optimizer, partial(warmup_factor, warmup_steps=warmup, start_factor=start_factor, then=fall))


def warmup_linear(
    optimizer: Optimizer, *, steps: Steps, warmup_steps: Warmup, start_factor: Fraction, end_factor: Fraction
) -> LRScheduler:
    """Rise linearly for ``warmup_steps``, then fall linearly until ``steps`` (Devlin et al. 2019).

    The arguments are those of `warmup_cosine`.
    """
    warmup = span(warmup_steps, steps)
    fall = partial(linear_factor, steps=max(1, steps - warmup), start_factor=1.0, end_factor=end_factor)
    return LambdaLR(optimizer, partial(warmup_factor, warmup_steps=warmup, start_factor=start_factor, then=fall))


def inverse_sqrt(optimizer: Optimizer, *, steps: Steps, warmup_steps: Span) -> LRScheduler:
    """Rise linearly to the learning rate at step n = t + 1 = w, then fall as sqrt(w / n) (Vaswani et al. 2017, eq. 3).

    Args:
        optimizer: Optimizer whose learning rates are the peak.
        steps: Optimizer steps of the run.
        warmup_steps: w; 1 gives lr / sqrt(n) from the start.
    """
    return LambdaLR(optimizer, partial(inverse_sqrt_factor, warmup_steps=max(1, span(warmup_steps, steps))))


def cyclic(
    optimizer: Optimizer,
    *,
    steps: Steps,
    step_size_up: Span,
    base_factor: Fraction,
    decay: Annotated[float, Gt(0), Le(1)],
) -> LRScheduler:
    """Rise and fall linearly between ``base_factor`` times the learning rate and the learning rate (Smith 2017).

    Args:
        optimizer: Optimizer whose learning rates are the peak.
        steps: Optimizer steps of the run.
        step_size_up: Number of steps up, and of steps down.
        base_factor: Factor at the bottom.
        decay: Factor on the height from one cycle to the next: 1 for Smith's "triangular", 0.5 for "triangular2".
    """
    half = max(1, span(step_size_up, steps))
    return LambdaLR(optimizer, partial(cyclic_factor, half=half, base_factor=base_factor, decay=decay))
