"""What a config may name as a target: in a command of one's own, and in a folder that came from elsewhere."""

import re

import pytest
import torch
from omegaconf import OmegaConf, open_dict
from tests.support.running import compose_config

from gradlab.config.build import check
from gradlab.config.options import groups
from gradlab.config.paths import CONFIGS
from gradlab.config.signatures import locate
from gradlab.config.trust import require_trusted, targets
from gradlab.errors import GradlabError

LOADERS = (
    "builtins.open", "builtins.eval", "os.system", "subprocess.run", "pickle.load", "importlib.import_module",
    "joblib.load", "pandas.read_pickle", "numpy.load", "numpy.fromfile", "torch.load", "torch.save", "torch.hub.load",
    "torch.serialization.load", "torch.jit.load", "torch.os.system", "torch.nn.modules.module.warnings.warn",
    "torch.UntypedStorage.from_file", "torchvision.datasets.utils.download_url", "torch.utils.collect_env.run",
    "gradlab.artifacts.atomic.write_json", "gradlab.cli.main", "hydra.utils.instantiate",
)  # fmt: skip


@pytest.mark.parametrize("target", LOADERS)
def test_a_loader_is_refused_everywhere(target):
    with pytest.raises(GradlabError, match=r"activation: .* is refused as a _target_"):
        locate(target, "activation")
    with pytest.raises(GradlabError, match=r"refused as a _target_|is no part of gradlab"):
        require_trusted({"activation": {"_target_": target}}, modules=(), folder="f")


def test_a_loader_under_another_name_is_refused(monkeypatch, tmp_path):
    (tmp_path / "borrowed_parts.py").write_text("from os import system as swish\nfrom torch import load as tanh\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("swish", "tanh"):
        with pytest.raises(GradlabError, match=f"borrowed_parts.{name}, which is "):
            locate(f"borrowed_parts.{name}", "activation")


@pytest.mark.parametrize("place", ["activation._args_", "train.freeze", "logger"])
def test_a_loader_is_refused_wherever_it_stands(place):
    node = {"_target_": "os.getcwd"}
    cfg = compose_config("activation=identity")
    with open_dict(cfg):
        OmegaConf.update(cfg, place, [node] if place != "logger" else {"own": node}, force_add=True)
    with pytest.raises(GradlabError, match=r"os.getcwd is refused"):
        check(cfg)


def test_parts_of_the_four_packages_are_trusted():
    for target in (
        "torch.tanh",
        "torch.nn.ReLU",
        "torch.optim.SGD",
        "gradlab.nn.mlp.MLP",
        "torchvision.models.resnet18",
    ):
        require_trusted({"model": {"_target_": target}}, modules=(), folder="f")


def test_every_option_of_gradlab_is_trusted():
    named = set()
    for group in groups([CONFIGS]):
        for path in (CONFIGS / group).glob("*.yaml"):
            named |= set(re.findall(r"^\s*_target_: ([\w.]+)", path.read_text(), flags=re.MULTILINE))
    installed = {target for target in named if not target.startswith(("hydra_plugins", "timm", "gradlab.sweep"))}
    assert "torch.nn.ReLU" in installed
    require_trusted({target: {"_target_": target} for target in installed}, modules=(), folder="f")


@pytest.mark.parametrize("target", ["mine.Tiny", "torch.utils.data.DataLoader", "sklearn.linear_model.Ridge", "x", 5])
def test_other_targets_of_a_folder_are_refused(target):
    with pytest.raises(GradlabError, match=r"^f: "):
        require_trusted({"model": {"layers": [{"_target_": target}]}}, modules=(), folder="f")


def test_a_module_that_the_command_names_is_trusted():
    config = {"model": {"_target_": "mine.nets.Tiny"}}
    for module in ("mine", "mine.nets", "mine.nets.Tiny"):
        require_trusted(config, modules=[module], folder="f")
    with pytest.raises(GradlabError, match=r"add --trust mine\.nets$"):
        require_trusted(config, modules=["min", "nets"], folder="f")


def test_targets_are_found_at_any_depth():
    config = {"a": {"_target_": "x", "_args_": [{"_target_": "y"}]}, "b": [[{"c": {"_target_": "z"}}]]}
    assert dict(targets(config)) == {"a": "x", "a._args_.0": "y", "b.0.0.c": "z"}


def test_functions_of_torch_and_of_one_s_own_are_found(monkeypatch, tmp_path):
    (tmp_path / "own_parts.py").write_text("def load(x):\n    return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert locate("torch.relu", "activation") is torch.relu
    assert locate("own_parts.load", "activation")(1) == 1
    assert locate("math.tanh", "activation")(0.0) == 0.0
