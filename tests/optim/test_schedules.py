import io
import math
import warnings
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pydantic import TypeAdapter, ValidationError

from gradlab.optim import feedback, schedules

CONFIGS = Path(__file__).parents[2] / "configs" / "lr_scheduler"
OPTIONS = sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def option(name, *, steps=100, **overrides):
    """Build the rule of a YAML, as a function of the optimizer, for a run of `steps`."""
    config = OmegaConf.create({"train": {"steps": steps}, "rule": OmegaConf.load(CONFIGS / f"{name}.yaml")})
    return instantiate(config.rule, **overrides)


def optimizer_of(lr=1.0):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def learning_rates(rule, *, steps=100, lr=1.0):
    """Learning rates that the steps 0, 1, ..., `steps` use or would use, with warnings as errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = optimizer_of(lr)
        return list(advance(optimizer, rule(optimizer), range(steps)))


def advance(optimizer, scheduler, steps):
    """Do `steps` as the loop does, under a falling loss in epochs of five steps; yield each rate and the next one."""
    yield optimizer.param_groups[0]["lr"]
    for t in steps:
        optimizer.step()
        if hasattr(scheduler, "observe"):
            scheduler.observe(torch.tensor(2.0 * 0.95**t), (t + 1) / 5)
        scheduler.step()
        yield optimizer.param_groups[0]["lr"]


def test_constant():
    assert learning_rates(option("constant"), lr=0.02) == [0.02] * 101


def test_step():
    rates = learning_rates(option("step", step_size=40, gamma=0.1))
    assert [rates[t] for t in (0, 39, 40, 79, 80)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_exponential():
    rates = learning_rates(option("exponential", gamma=0.9), lr=2.0)
    assert rates == pytest.approx([2 * 0.9**t for t in range(101)])


def test_polynomial_is_a_quarter_at_half_way():
    rates = learning_rates(option("polynomial"))
    assert rates[50] == pytest.approx(0.25)
    assert rates == pytest.approx([(1 - t / 100) ** 2 for t in range(101)], abs=1e-12)


def test_cosine():
    rates = learning_rates(option("cosine", eta_min=0.1))
    assert rates == pytest.approx([0.1 + 0.45 * (1 + math.cos(math.pi * t / 100)) for t in range(101)])


def test_warmup_cosine():
    rates = learning_rates(option("warmup_cosine", warmup_steps=10))
    assert [rates[t] for t in (0, 5, 10, 55, 100)] == pytest.approx([0.01, 0.505, 1, 0.5, 0], abs=1e-12)
    assert max(rates) == rates[10]


def test_warmup_cosine_without_warmup_is_the_cosine():
    assert learning_rates(option("warmup_cosine", warmup_steps=0)) == pytest.approx(
        learning_rates(option("cosine")), abs=1e-12
    )


def test_warmup_cosine_ends_at_its_end_factor_and_stays():
    rates = learning_rates(option("warmup_cosine", warmup_steps=10, end_factor=0.1), steps=120)
    assert rates[100:] == pytest.approx([0.1] * 21)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_runs_a_single_step(name):
    assert all(0 <= rate <= 1 for rate in learning_rates(option(name, steps=1), steps=1))


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_goes_on_from_a_checkpoint(name):
    whole = learning_rates(option(name))
    optimizer = optimizer_of()
    scheduler = option(name)(optimizer)
    begun = list(advance(optimizer, scheduler, range(37)))
    file = io.BytesIO()
    torch.save({"optimizer": optimizer.state_dict(), "lr_scheduler": scheduler.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    optimizer = optimizer_of()
    scheduler = option(name)(optimizer)
    optimizer.load_state_dict(saved["optimizer"])
    scheduler.load_state_dict(saved["lr_scheduler"])
    assert begun[:-1] + list(advance(optimizer, scheduler, range(37, 100))) == whole


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_moves_every_group_alike(name):
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": [parameters[0]]}, {"params": [parameters[1]], "lr": 0.5}], lr=1.0)
    scheduler = option(name)(optimizer)
    for _ in advance(optimizer, scheduler, range(60)):
        first, second = (group["lr"] for group in optimizer.param_groups)
        assert second == pytest.approx(first / 2)


def test_multistep():
    rates = learning_rates(option("multistep"))
    assert [rates[t] for t in (0, 49, 50, 74, 75, 100)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    rates = learning_rates(option("multistep", milestones=[30, 60], gamma=0.5))
    assert [rates[t] for t in (29, 30, 59, 60)] == pytest.approx([1, 0.5, 0.5, 0.25])


def test_linear():
    rates = learning_rates(option("linear", end_factor=0.2), steps=110, lr=2.0)
    assert rates[:101] == pytest.approx([2 - 1.6 * t / 100 for t in range(101)])
    assert rates[-1] == pytest.approx(0.4)


def test_warmup_linear():
    rates = learning_rates(option("warmup_linear", warmup_steps=10))
    assert [rates[t] for t in (0, 5, 10, 55, 100)] == pytest.approx([0.01, 0.505, 1, 0.5, 0], abs=1e-12)


def test_warm_restarts():
    """Loshchilov & Hutter 2017, eq. 5, with cycles of 10, 20, 40, ... steps."""
    rates = learning_rates(option("warm_restarts", T_0=10, T_mult=2, eta_min=0.01))
    expected = [1, 0.505, 0.034227, 1, 0.016094, 1]
    assert [rates[t] for t in (0, 5, 9, 10, 29, 30)] == pytest.approx(expected, abs=5e-7)


def test_warm_restarts_end_their_third_cycle_with_the_run():
    rates = learning_rates(option("warm_restarts", steps=700), steps=700)
    assert [t for t in range(1, 700) if rates[t] == 1] == [100, 300]
    assert rates[699] < 1e-4


def test_one_cycle_takes_momentum_along():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    scheduler = option("one_cycle")(optimizer)
    momenta, rates = [], []
    for rate in advance(optimizer, scheduler, range(99)):
        rates.append(rate)
        momenta.append(optimizer.param_groups[0]["momentum"])
    assert [rates[t] for t in (0, 29, 99)] == pytest.approx([0.04, 1, 4e-6])
    assert max(rates) == rates[29]
    assert [momenta[t] for t in (0, 29, 99)] == pytest.approx([0.95, 0.85, 0.95])


def test_one_cycle_says_what_it_needs():
    with pytest.raises(ValueError, match="cycle_momentum"):
        option("one_cycle")(torch.optim.Adagrad([torch.nn.Parameter(torch.zeros(1))]))
    with pytest.raises(ValueError, match="pct_start"):
        option("one_cycle", steps=10, pct_start=0.1)(optimizer_of())


def test_cyclic():
    rates = learning_rates(option("cyclic", step_size_up=10, base_factor=0.2, decay=0.5))
    assert [rates[t] for t in (0, 5, 10, 15, 20, 30, 50)] == pytest.approx([0.2, 0.6, 1, 0.6, 0.2, 0.6, 0.4])


def test_inverse_sqrt():
    """Vaswani et al. 2017, eq. 3, scaled to a peak of lr."""
    rates = learning_rates(option("inverse_sqrt", warmup_steps=10), lr=2.0)
    assert rates == pytest.approx([2 * 10**0.5 * min(n**-0.5, n * 10**-1.5) for n in range(1, 102)])
    assert learning_rates(option("inverse_sqrt", warmup_steps=1)) == pytest.approx([n**-0.5 for n in range(1, 102)])


def test_span_is_steps_or_a_fraction_of_the_run():
    assert [schedules.span(value, 600) for value in (0, 0.1, 1, 60)] == [0, 60, 1, 60]
    with pytest.raises(ValueError, match=r"2\.5 is neither a whole number nor a fraction"):
        schedules.span(2.5, 600)


RANGES = [
    (schedules.warmup_cosine, "steps", 0),
    (schedules.warmup_cosine, "warmup_steps", -1),
    (schedules.warmup_cosine, "start_factor", 1.5),
    (schedules.step, "step_size", 0),
    (schedules.step, "gamma", -0.1),
    (schedules.multistep, "milestones", [0.5, -1]),
    (schedules.exponential, "gamma", 0),
    (schedules.polynomial, "total_iters", 0),
    (schedules.polynomial, "power", -1),
    (schedules.cosine, "T_max", 0),
    (schedules.cosine, "eta_min", -1e-3),
    (schedules.warm_restarts, "T_0", 0),
    (schedules.warm_restarts, "T_mult", 0),
    (schedules.one_cycle, "pct_start", 1),
    (schedules.one_cycle, "div_factor", 0),
    (schedules.one_cycle, "max_momentum", 1),
    (schedules.cyclic, "step_size_up", 0),
    (schedules.cyclic, "base_factor", 2),
    (schedules.linear, "end_factor", -0.1),
    (schedules.inverse_sqrt, "warmup_steps", 0),
    (feedback.Plateau.__init__, "factor", 1),
    (feedback.Plateau.__init__, "patience", -1),
    (feedback.LossRestart.__init__, "threshold", 0),
    (feedback.LossRestart.__init__, "total_iters", 0),
]


@pytest.mark.parametrize(("function", "key", "value"), RANGES)
def test_values_that_would_fail_in_the_middle_of_a_run_do_not_fit(function, key, value):
    with pytest.raises(ValidationError):
        TypeAdapter(function.__annotations__[key]).validate_python(value)
