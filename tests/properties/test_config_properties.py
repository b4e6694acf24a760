"""What holds for any overrides and any config: good ones compose, misspelled ones are refused in one line."""

import json
from functools import cache
from math import nan

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from tests.support.running import compose_config

from gradlab.artifacts.fingerprint import compute_fingerprint, decisive_part, differences
from gradlab.config import build
from gradlab.config.keys import key_paths
from gradlab.config.paths import CONFIGS

FEWER = max(1, settings.default.max_examples // 5)  # where an example takes a tenth of a second


def options(group, *, without=()):
    """The options of a group; of some, those that need a file or a class of the user's are left out."""
    return sorted({path.stem for path in (CONFIGS / group).glob("*.yaml")} - set(without))


CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "activation": st.sampled_from(options("activation")),
        "initializer": st.sampled_from(options("initializer")),
        "normalization": st.sampled_from(options("normalization")),
        "residual": st.sampled_from(options("residual")),
        "clipping": st.sampled_from(options("clipping")),
        "optimizer": st.sampled_from(options("optimizer")),
        "lr_scheduler": st.sampled_from(options("lr_scheduler")),
        "data": st.sampled_from(options("data", without=["image_folder", "table"])),
        "probe": st.sampled_from(options("probe")),
    },
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "model.depth": st.integers(1, 1000),
        "model.width": st.integers(1, 4096),
        "train.steps": st.integers(1, 10**6),
        "train.batch_size": st.integers(1, 4096),
        "optimizer.lr": st.floats(1e-12, 1e3),
        "seed": st.integers(0, 2**31 - 1),
    },
)


@settings(max_examples=FEWER)
@given(CHOICES, SETTINGS)
def test_good_overrides_compose_check_and_hold(choices, values):
    cfg = compose_config(*(f"{key}={value}" for key, value in (choices | values).items()))
    build.check(cfg)
    assert {key: OmegaConf.select(cfg, key) for key in values} == pytest.approx(values)


@settings(max_examples=FEWER)
@given(SETTINGS.filter(bool), st.randoms(use_true_random=False))
def test_the_order_of_overrides_does_not_matter(values, random):
    overrides = [f"{key}={value}" for key, value in values.items()]
    shuffled = random.sample(overrides, len(overrides))
    assert compose_config(*overrides) == compose_config(*shuffled)


@cache
def known_keys():
    return sorted(key_paths(OmegaConf.to_container(compose_config())))


LETTERS = "abcdefghijklmnopqrstuvwxyz"


@settings(max_examples=max(1, FEWER // 2), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.deferred(lambda: st.sampled_from(known_keys())),
    place=st.integers(0),
    letter=st.sampled_from(LETTERS),
    edit=st.sampled_from("+-~"),
)
def test_a_misspelled_key_is_refused_in_one_line(call, key, place, letter, edit):
    """A letter of the last part of the key added, left out or exchanged."""
    head, dot, name = key.rpartition(".")
    place %= len(name)
    wrong = head + dot + name[:place] + {"+": letter + name[place:], "-": name[place + 1 :],
                                         "~": letter + name[place + 1 :]}[edit]  # fmt: skip
    assume(wrong not in known_keys() and not wrong.endswith(".") and wrong)
    code, out, err = call(f"{wrong}=1")
    assert code == 1
    assert out == ""
    assert err.startswith("gradlab: ")
    assert err.count("\n") == 1
    assert wrong in err
    assert "Traceback" not in err


LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=3)
NODES = st.recursive(
    LEAVES, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
    max_leaves=8,
)  # fmt: skip
DECISIVE = ("model", "optimizer", "data", "seed")
FREE = ("logger", "follow", "gate", "figures", "objective", "hydra")
FREE_OF_TRAIN = ("checkpoint", "checkpoint_every", "resume")
CONFIGS_DRAWN = st.fixed_dictionaries({
    **dict.fromkeys((*DECISIVE, *FREE), NODES),
    "train": st.fixed_dictionaries(dict.fromkeys(("steps", *FREE_OF_TRAIN), LEAVES)),
})  # fmt: skip


def reordered(node, random):
    """The same config with the keys of each node in another order."""
    if isinstance(node, dict):
        return {key: reordered(node[key], random) for key in random.sample(list(node), len(node))}
    return [reordered(item, random) for item in node] if isinstance(node, list) else node


@given(CONFIGS_DRAWN, st.randoms(use_true_random=False))
def test_equal_configs_have_equal_fingerprints_whatever_the_order_of_their_keys(config, random):
    again = reordered(json.loads(json.dumps(config)), random)
    assert compute_fingerprint(config, {}) == compute_fingerprint(again, {})
    assert differences(config, again) == []


@given(CONFIGS_DRAWN, st.sampled_from((*DECISIVE, "train.steps")), NODES)
def test_whatever_decides_about_the_numbers_changes_the_fingerprint(config, key, value):
    changed = json.loads(json.dumps(config))
    if key == "train.steps":
        changed["train"]["steps"] = value
    else:
        changed[key] = value
    assume(json.dumps(changed, sort_keys=True) != json.dumps(config, sort_keys=True))
    assert compute_fingerprint(changed, {}) != compute_fingerprint(config, {})


@given(CONFIGS_DRAWN, st.sampled_from(FREE), st.sampled_from(FREE_OF_TRAIN), NODES)
def test_what_decides_about_no_number_does_not_change_it(config, key, key_of_train, value):
    changed = config | {key: value, "train": config["train"] | {key_of_train: value}}
    assert compute_fingerprint(changed, {}) == compute_fingerprint(config, {})
    assert decisive_part(changed) == decisive_part(config)


@given(CONFIGS_DRAWN, st.text(max_size=5), st.text(max_size=5))
def test_another_source_of_a_target_is_another_run(config, one, other):
    fingerprints = [compute_fingerprint(config, {"own.net": text}) for text in (one, other)]
    assert (fingerprints[0] == fingerprints[1]) is (one == other)
    assert compute_fingerprint(config, {}) not in fingerprints


def test_a_nan_is_the_same_nan():
    assert compute_fingerprint({"model": nan}, {}) == compute_fingerprint({"model": float("nan")}, {})
