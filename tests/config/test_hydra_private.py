"""Hydra's and OmegaConf's private names are where gradlab looks for them, and do what gradlab needs."""

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf
from tests.support.running import make_loader

from gradlab.config import hydra_private

TRICKY = {
    "yes": "no",
    "number": "1e3",
    "integer": "007",
    "list": ["[a]", "", " b", "c: d", "ü"],
    "none": None,
    "x": 0.1,
}


def test_hydra_has_its_flags_and_its_launcher():
    assert hydra_private.flag_parser().parse_args(["--multirun", "seed=1"]).overrides == ["seed=1"]
    assert hydra_private.basic_launcher().__name__ == "BasicLauncher"


def test_hydra_has_its_function_for_overrides():
    assert hydra_private.find_override_function() is not None


def test_a_config_is_the_one_that_interpolations_read_inside_the_block_only():
    before = HydraConfig.instance().cfg
    config = make_loader().load_configuration("config", ["hydra.job.name=mine"], run_mode=RunMode.RUN)
    with hydra_private.hydra_config(config):
        assert HydraConfig.get().job.name == "mine"
        assert OmegaConf.create({"name": "${hydra:job.name}"}).name == "mine"
    assert HydraConfig.instance().cfg is before


@pytest.mark.parametrize("fast", [True, False])
def test_yaml_is_what_omegaconf_writes(fast, tmp_path, monkeypatch):
    assert hydra_private._dumper() is not None
    if not fast:
        monkeypatch.setattr(hydra_private, "_dumper", lambda: None)
    for i, content in enumerate((TRICKY, list(TRICKY.values()))):
        hydra_private.write_yaml(content, tmp_path / f"ours{i}.yaml")
        OmegaConf.save(OmegaConf.create(content), tmp_path / f"theirs{i}.yaml")
        assert (tmp_path / f"ours{i}.yaml").read_bytes() == (tmp_path / f"theirs{i}.yaml").read_bytes()
