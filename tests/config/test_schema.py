from dataclasses import asdict
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gradlab.config.schema import Root, check_settings, defaults, settings
from gradlab.errors import GradlabError

CONFIGS = Path(__file__).parents[2] / "configs"


def plain(*, remove: str = "", **changes):
    config = asdict(Root())
    for key, value in changes.items():
        node, _, name = key.rpartition("__")
        (config[node] if node else config)[name] = value
    if remove:
        node, _, name = remove.rpartition(".")
        del (config[node] if node else config)[name]
    return config


def test_defaults_are_allowed():
    check_settings(plain())


def test_every_setting_has_a_meaning_and_a_default():
    assert all(item.metadata["meaning"] for _, item in settings())
    assert len(list(defaults())) == len(list(settings()))
    assert dict(zip((key for key, _ in settings()), defaults(), strict=True))["train.steps"] == "600"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "seed must be an integer of at least 0 and at most 4294967295, got -1"),
        ({"train__steps": 0}, "train.steps must be an integer of at least 1, got 0"),
        ({"train__batch_size": -1}, "train.batch_size must be an integer of at least 1, got -1"),
        ({"train__device": "gpu"}, "train.device must be one of auto, cpu, cuda, got gpu"),
        ({"train__dtype": "float16"}, "train.dtype must be one of float32, float64, got float16"),
        ({"train__threads": 0}, "train.threads must be an integer of at least 1 and at most 1024, got 0"),
        ({"probe__every": -1}, "probe.every must be an integer of at least 0, got -1"),
        ({"probe__full_every": 0}, "probe.full_every must be an integer of at least 1, got 0"),
        ({"train__stepz": 5}, "unknown key train.stepz; did you mean train.steps?"),
        ({"batchsize": 5}, "unknown key batchsize; did you mean train.batch_size?"),
        ({"remove": "probe.every"}, "probe.every is missing"),
        ({"remove": "train"}, "train is missing"),
        ({"train": 3}, "train.steps is missing"),
    ],
)
def test_what_is_not_allowed_is_named(changes, message):
    with pytest.raises(GradlabError) as caught:
        check_settings(plain(**changes))
    assert str(caught.value) == message


@pytest.mark.parametrize("group", ["train", "probe"])
def test_every_option_sets_only_known_settings(group):
    known = {key for key, _ in settings()}
    for path in sorted((CONFIGS / group).glob("*.yaml")):
        assert {f"{group}.{key}" for key in OmegaConf.load(path)} <= known, path
