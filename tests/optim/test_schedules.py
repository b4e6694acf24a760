import io
import math
import warnings
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pydantic import TypeAdapter, ValidationError

from gradlab.optim import schedules

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
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = optimizer_of(lr)
        scheduler = rule(optimizer)
        for _ in range(steps + 1):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
    return rates


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
    for _ in range(37):
        optimizer.step()
        scheduler.step()
    file = io.BytesIO()
    torch.save({"optimizer": optimizer.state_dict(), "lr_scheduler": scheduler.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    optimizer = optimizer_of()
    scheduler = option(name)(optimizer)
    optimizer.load_state_dict(saved["optimizer"])
    scheduler.load_state_dict(saved["lr_scheduler"])
    rest = []
    for _ in range(64):
        rest.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rest == whole[37:]


@pytest.mark.parametrize(("key", "value"), [("steps", 0), ("warmup_steps", -1), ("start_factor", 1.5)])
def test_ranges_of_warmup_cosine(key, value):
    with pytest.raises(ValidationError):
        TypeAdapter(schedules.warmup_cosine.__annotations__[key]).validate_python(value)
