"""What holds for the schedules with any numbers that they take, against formulas written down from the papers."""

from math import cos, pi

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradlab.optim import schedules

STEPS = st.integers(2, 40)
FRACTION = st.floats(0, 1)
LR = st.floats(1e-8, 10)
GAMMA = st.floats(0.1, 1)


def line(t, start, end, steps):
    return end if t >= steps else start + (end - start) * t / steps


def wave(t, steps):
    """Half a cosine from 1 to 0."""
    return 0.0 if t >= steps else (1 + cos(pi * t / steps)) / 2


# For each rule what may be drawn beside the steps of the run, and the factor on the rate after t of n steps.
RULES = {
    "step": (
        {"step_size": st.integers(1, 50), "gamma": GAMMA},
        lambda t, n, step_size, gamma: gamma ** (t // step_size),
    ),
    "multistep": (
        {"milestones": st.lists(st.integers(1, 50), max_size=4, unique=True).map(sorted), "gamma": GAMMA},
        lambda t, n, milestones, gamma: gamma ** sum(t >= milestone for milestone in milestones),
    ),
    "linear": (
        {"start_factor": FRACTION, "end_factor": FRACTION},
        lambda t, n, start_factor, end_factor: line(t, start_factor, end_factor, n),
    ),
    "warmup_cosine": (
        {"warmup_steps": st.integers(0, 50), "start_factor": FRACTION, "end_factor": FRACTION},
        lambda t, n, warmup_steps, start_factor, end_factor: (
            line(t, start_factor, 1.0, warmup_steps)
            if t < warmup_steps
            else end_factor + (1 - end_factor) * wave(t - warmup_steps, max(1, n - warmup_steps))
        ),
    ),
    "warmup_linear": (
        {"warmup_steps": st.integers(0, 50), "start_factor": FRACTION, "end_factor": FRACTION},
        lambda t, n, warmup_steps, start_factor, end_factor: (
            line(t, start_factor, 1.0, warmup_steps)
            if t < warmup_steps
            else line(t - warmup_steps, 1.0, end_factor, max(1, n - warmup_steps))
        ),
    ),
    "inverse_sqrt": (
        {"warmup_steps": st.integers(1, 50)},
        lambda t, n, warmup_steps: warmup_steps**0.5 * min((t + 1) ** -0.5, (t + 1) * warmup_steps**-1.5),
    ),
    "cyclic": (
        {"step_size_up": st.integers(1, 20), "base_factor": FRACTION, "decay": GAMMA},
        lambda t, n, step_size_up, base_factor, decay: (
            base_factor
            + (1 - base_factor)
            * decay ** (t // (2 * step_size_up))
            * min(t % (2 * step_size_up), 2 * step_size_up - t % (2 * step_size_up))
            / step_size_up
        ),
    ),
}
# These do not look at the length of the run.
WITHOUT_STEPS = {
    "exponential": ({"gamma": GAMMA}, lambda t, n, gamma: gamma**t),
    "polynomial": (
        {"total_iters": st.integers(1, 50), "power": st.floats(0, 4)},
        lambda t, n, total_iters, power: (1 - min(t, total_iters) / total_iters) ** power,
    ),
    "constant": ({}, lambda t, n: 1.0),
}
# Torch's own, whose formula torch is to answer for: here it counts that they can be resumed and are never negative.
TORCH = {
    "cosine": {"T_max": st.integers(1, 50), "eta_min": st.just(0.0)},
    "warm_restarts": {"steps": st.just(40), "T_0": st.integers(1, 30), "T_mult": st.integers(1, 3),
                      "eta_min": st.just(0.0)},
    "one_cycle": {"steps": st.just(41), "pct_start": st.floats(0.1, 0.9), "div_factor": st.floats(1, 100),
                  "final_div_factor": st.floats(1, 1e6), "cycle_momentum": st.just(False),
                  "base_momentum": st.just(0.8), "max_momentum": st.just(0.9)},
}  # fmt: skip


def begin(name, lr, options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    return optimizer, getattr(schedules, name)(optimizer, **options)


def advance(optimizer, scheduler, steps):
    """The rates of the next steps."""
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("name", [*RULES, *WITHOUT_STEPS])
@given(data=st.data(), steps=STEPS, lr=LR)
def test_every_rate_is_that_of_the_formula(name, data, steps, lr):
    drawn, factor = (RULES | WITHOUT_STEPS)[name]
    options = {key: data.draw(strategy, label=key) for key, strategy in drawn.items()}
    optimizer, scheduler = begin(name, lr, options | ({"steps": steps} if name in RULES else {}))
    rates = advance(optimizer, scheduler, steps)
    assert rates == pytest.approx([lr * factor(t, steps, **options) for t in range(steps)], rel=1e-9, abs=1e-9 * lr)


@pytest.mark.parametrize("name", [*RULES, *WITHOUT_STEPS, *TORCH])
@given(data=st.data(), lr=LR, cut=st.integers(0, 39))
def test_a_schedule_resumed_at_any_step_gives_the_same_rates_none_of_them_negative(name, data, lr, cut):
    drawn = TORCH[name] if name in TORCH else (RULES | WITHOUT_STEPS)[name][0]
    options = {key: data.draw(strategy, label=key) for key, strategy in drawn.items()}
    options |= {"steps": 40} if name in RULES else {}
    whole = advance(*begin(name, lr, options), 40)
    assert min(whole) >= 0
    optimizer, scheduler = begin(name, lr, options)
    first = advance(optimizer, scheduler, cut)
    saved = optimizer.state_dict(), scheduler.state_dict()
    optimizer, scheduler = begin(name, lr, options)
    optimizer.load_state_dict(saved[0])
    scheduler.load_state_dict(saved[1])
    assert first + advance(optimizer, scheduler, 40 - cut) == whole
