import importlib.util
import io
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from gradlab.optim.parameters import parameter_groups

CONFIGS = Path(__file__).parents[2] / "configs" / "optimizer"
TIMM = {"lion", "lars", "lamb"}
OPTIONS = [
    pytest.param(path.stem, marks=pytest.mark.skipif(
        path.stem in TIMM and importlib.util.find_spec("timm") is None, reason="needs the extra optimizers"))
    for path in sorted(CONFIGS.glob("*.yaml"))
]  # fmt: skip


def option(name, params, **overrides):
    return instantiate(OmegaConf.load(CONFIGS / f"{name}.yaml"), _convert_="all", **overrides)(params)


def net(seed=0):
    torch.manual_seed(seed)
    sizes = (6, 9, 8, 7, 3)
    layers = [torch.nn.Linear(*pair) for pair in pairwise(sizes)]
    return torch.nn.Sequential(*layers[:2], torch.nn.LayerNorm(8), *layers[2:])


def train(model, optimizer, steps):
    for seed in steps:
        inputs = torch.randn(16, 6, generator=torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_lowers_a_quadratic(name):
    x = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = option(name, [x])
    for _ in range(20):
        optimizer.zero_grad()
        (x**2).sum().backward()
        optimizer.step()
    assert x.detach().square().sum().item() < 5


@pytest.mark.parametrize("decay_biases", [True, False])
@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_goes_on_from_a_checkpoint(name, decay_biases):
    model = net()
    whole = train(model, option(name, parameter_groups(model, decay_biases=decay_biases)), range(8))

    model = net()
    optimizer = option(name, parameter_groups(model, decay_biases=decay_biases))
    train(model, optimizer, range(3))
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    model = net(seed=1)
    model.load_state_dict(saved["model"])
    optimizer = option(name, parameter_groups(model, decay_biases=decay_biases))
    optimizer.load_state_dict(saved["optimizer"])
    rest = train(model, optimizer, range(3, 8))
    assert all(torch.equal(one, other) for one, other in zip(rest, whole, strict=True))


@pytest.mark.parametrize("name", ["adam", "amsgrad", "adamw", "nadam", "adamax"])
def test_the_first_step_of_the_adam_family_moves_every_weight_by_lr(name):
    x = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    own = {"momentum_decay": 0.0, "betas": [0.0, 0.999]} if name == "nadam" else {}
    optimizer = option(name, [x], lr=0.1, weight_decay=0.0, **own)
    x.grad = torch.tensor([1e-3, -50.0])
    optimizer.step()
    torch.testing.assert_close(x.detach(), torch.tensor([0.9, -1.9]), rtol=1e-5, atol=0)


def test_numbers_that_torch_would_choose_are_written_out_unchanged():
    """Every number but lr is torch's default or the option's own point."""
    own = {"momentum": {"momentum"}, "nesterov": {"momentum", "nesterov"}, "amsgrad": {"amsgrad"}}
    for path in CONFIGS.glob("*.yaml"):
        config = OmegaConf.to_container(OmegaConf.load(path))
        module, _, target = config.pop("_target_").rpartition(".")
        if module != "torch.optim":
            continue
        defaults = getattr(torch.optim, target)([torch.nn.Parameter(torch.zeros(1))]).defaults
        for key in config.keys() - {"_partial_", "lr"} - own.get(path.stem, set()):
            value = tuple(config[key]) if isinstance(config[key], list) else config[key]
            assert value == defaults[key], f"{path.stem}.{key}"


def test_one_group_is_the_default_and_the_models_own_order():
    model = net()
    groups = parameter_groups(model, decay_biases=True)
    assert all(one is other for one, other in zip(groups, model.parameters(), strict=True))
    assert len(torch.optim.SGD(groups).param_groups) == 1


def test_biases_and_normalizations_are_spared_the_decay():
    model = net()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = option("sgd", parameter_groups(model, decay_biases=False), lr=1.0, weight_decay=0.25)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        factor = 0.75 if parameter.dim() == 2 else 1.0
        assert torch.equal(parameter.detach(), factor * before[name]), name
    bare = torch.nn.Linear(3, 2, bias=False)
    assert len(parameter_groups(bare, decay_biases=False)) == 1


def test_muon_takes_the_matrices_between_the_layers_and_adamw_the_rest():
    model = net()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = option("muon", parameter_groups(model, decay_biases=False), lr=0.01, weight_decay=0.0)
    after = train(model, optimizer, range(1))
    moves = dict(
        zip(
            (name for name, _ in model.named_parameters()),
            (b - a for a, b in zip(before, after, strict=True)),
            strict=True,
        )
    )
    for name, move in moves.items():
        if name in ("1.weight", "3.weight"):
            # 0.2 lr sqrt(longer side) times a matrix whose singular values lie near 1 (Liu et al. 2025, eq. 4)
            values = torch.linalg.svdvals(move) / (0.01 * 0.2 * max(move.shape) ** 0.5)
            assert values.max() < 1.3
            assert values.median() > 0.6
        else:
            assert move.abs().max() <= 0.01 * 1.001
            assert move.abs().max() > 0.0099


def test_muon_trains_nets_without_a_hidden_matrix_by_adamw():
    for layers in ([torch.nn.Linear(6, 3)], [torch.nn.Linear(6, 4), torch.nn.Linear(4, 3)]):
        one, other = torch.nn.Sequential(*layers), None
        start = {name: value.clone() for name, value in one.state_dict().items()}
        moved = train(one, option("muon", one.parameters()), range(3))
        one.load_state_dict(start)
        other = train(one, option("adamw", one.parameters(), weight_decay=0.01), range(3))
        assert all(torch.equal(a, b) for a, b in zip(moved, other, strict=True))


def test_muon_obeys_schedules():
    model = net()
    optimizer = option("muon", model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.0 if t else 1.0)
    train(model, optimizer, range(1))
    scheduler.step()
    still = [parameter.detach().clone() for parameter in model.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(train(model, optimizer, range(1, 2)), still, strict=True))


def test_a_missing_extra_is_one_line_that_names_the_command(tmp_path):
    (tmp_path / "hide.py").write_text(
        "import sys\nclass Hidden:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'timm':\n            raise ModuleNotFoundError(\"No module named 'timm'\", name='timm')\n"
        "sys.meta_path.insert(0, Hidden())\nfrom gradlab.cli import main\nmain()\n"
    )
    command = [sys.executable, "hide.py", "optimizer=lion", "train=smoke"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "gradlab: optimizer: timm is not installed; "
        "uv sync --extra optimizers or pip install 'gradlab[optimizers]' installs it\n"
    )
