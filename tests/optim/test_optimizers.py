from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

CONFIGS = Path(__file__).parents[2] / "configs" / "optimizer"
OPTIONS = sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def test_options():
    assert set(OPTIONS) >= {"sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "amsgrad", "adamw"}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_lowers_a_quadratic(name):
    x = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = instantiate(OmegaConf.load(CONFIGS / f"{name}.yaml"), _convert_="all")([x])
    for _ in range(20):
        optimizer.zero_grad()
        (x**2).sum().backward()
        optimizer.step()
    assert x.detach().square().sum().item() < 5


@pytest.mark.parametrize("name", ["adam", "amsgrad", "adamw"])
def test_the_first_step_of_the_adam_family_moves_every_weight_by_lr(name):
    x = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = instantiate(OmegaConf.load(CONFIGS / f"{name}.yaml"), _convert_="all", lr=0.1, weight_decay=0.0)([x])
    x.grad = torch.tensor([1e-3, -50.0])
    optimizer.step()
    torch.testing.assert_close(x.detach(), torch.tensor([0.9, -1.9]), rtol=1e-5, atol=0)


def test_numbers_that_torch_would_choose_are_written_out_unchanged():
    """Every number but lr is torch's default or the option's own point."""
    own = {"momentum": {"momentum"}, "nesterov": {"momentum", "nesterov"}, "amsgrad": {"amsgrad"}}
    for name in OPTIONS:
        config = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"))
        target = getattr(torch.optim, config.pop("_target_").rpartition(".")[2])
        defaults = target([torch.nn.Parameter(torch.zeros(1))]).defaults
        for key in config.keys() - {"_partial_", "lr"} - own.get(name, set()):
            value = tuple(config[key]) if isinstance(config[key], list) else config[key]
            assert value == defaults[key], f"{name}.{key}"


def test_amsgrad_stays_where_adam_is_led_astray():
    """Reddi et al. 2018, section 3: f = 1010x every 101st step and -10x otherwise, best at x = -1."""

    def last_x(name):
        x = torch.nn.Parameter(torch.zeros(1))
        settings = {"_convert_": "all", "lr": 0.5, "betas": [0.9, 0.99]}
        optimizer = instantiate(OmegaConf.load(CONFIGS / f"{name}.yaml"), **settings)([x])
        for t in range(1, 10_001):
            optimizer.param_groups[0]["lr"] = 0.5 / t**0.5
            x.grad = torch.full((1,), 1010.0 if t % 101 == 1 else -10.0)
            optimizer.step()
            x.data.clamp_(-1, 1)
        return x.item()

    assert last_x("adam") > 0.9
    assert last_x("amsgrad") < -0.85
