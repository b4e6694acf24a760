import functools
import math
import threading
from typing import Annotated, Any

import annotated_types
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from gradlab.config import build
from gradlab.config.keys import closest_key
from gradlab.config.schema import Root
from gradlab.config.signatures import check_node, check_value, locate
from gradlab.errors import GradlabError, closest

HERE = __name__


class Net:
    def __init__(
        self, input_shape: tuple[int, ...], *, depth: int, width: float = 1.0, part: object = None, betas: object = ()
    ):
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        self.input_shape, self.depth, self.width, self.part, self.betas = input_shape, depth, width, part, betas


def rule(gradients: list[float], *, max_norm: Annotated[float, annotated_types.Gt(0)], mode: str | None = None):
    if mode == "broken":
        raise ValueError("the mode broken is not known")
    return [min(value, max_norm) for value in gradients]


def anything(**options):
    return options


class Maker:
    """A target that is an object, which cannot be copied."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, **options: Any) -> Any:
        return self, options


maker = Maker()


def refuse(*, level: int):
    raise TypeError(f"invalid level: {level}")


def node(**keys):
    return OmegaConf.create(keys)


def whole(**groups):
    none = {"_target_": f"{HERE}.anything"}
    names = ["data", "activation", "initializer", "recurrent_initializer", "normalization", "residual", "clipping",
             "lr_scheduler", "diagnosis", "gate"]  # fmt: skip
    parts = dict.fromkeys(names, none)
    parts["model"] = {"_target_": f"{HERE}.Net", "depth": 3, "part": "${activation}"}
    parts["optimizer"] = {"_target_": f"{HERE}.anything", "_partial_": True, "lr": 0.1}
    return OmegaConf.merge(OmegaConf.structured(Root), OmegaConf.create(parts), OmegaConf.create(groups))


def refusal(function, *arguments, **options):
    with pytest.raises(GradlabError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_good_config_passes():
    build.check(whole())


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"model": {"dpeth": 2}}, f"unknown key model.dpeth: {HERE}.Net takes no 'dpeth'; did you mean model.depth?"),
        ({"model": {"qqqqq": 2}}, "it takes input_shape, depth, width, part, betas"),
        ({"model": {"depth": 2.5}}, "model.depth must be a valid integer, got 2.5"),
        ({"model": {"depth": True}}, "model.depth must be a valid integer, got true"),
        ({"model": {"depth": "abc"}}, 'model.depth must be a valid integer, got "abc"'),
        ({"model": {"depth": None}}, "model.depth must be a valid integer, got null"),
        ({"model": {"width": "${nowhere}"}}, "model.width: Interpolation key 'nowhere' not found"),
        ({"optimizer": {"lr": "abc"}}, "optimizer.lr must be a positive finite number or auto, got abc"),
        ({"optimizer": {"lr": 0}}, "optimizer.lr must be a positive finite number or auto, got 0"),
        ({"optimizer": {"lr": -0.1}}, "optimizer.lr must be a positive finite number or auto, got -0.1"),
        ({"optimizer": {"lr": 1e308}}, "optimizer.lr must be at most 3.4e+38, float32's largest number, got 1e+308"),
        ({"optimizer": {"weight_decay": 1e300}}, "optimizer.weight_decay must be at most 3.4e+38, float32's largest"),
        ({"optimizer": {"lr": math.nan}}, "optimizer.lr must be a positive finite number or auto, got nan"),
        ({"optimizer": {"lr": math.inf}}, "optimizer.lr must be a positive finite number or auto, got inf"),
        ({"optimizer": {"lr": True}}, "optimizer.lr must be a positive finite number or auto, got True"),
        ({"train": {"steps": 0}}, "train.steps must be an integer of at least 1, got 0"),
        (
            {"activation": {"_target_": "torch.nn.RelU"}},
            "activation: there is no torch.nn.RelU; did you mean torch.nn.ReLU?",
        ),
    ],
)
def test_check_names_what_does_not_fit(groups, message):
    assert message in refusal(build.check, whole(**groups))


def test_a_group_without_an_option_is_named():
    cfg = whole()
    cfg.model = "???"
    assert refusal(build.check, cfg) == "model is missing; gradlab --options model lists the choices"


def test_a_new_root_key_is_refused_with_the_key_it_may_mean():
    cfg = whole()
    OmegaConf.set_struct(cfg, False)
    OmegaConf.update(cfg, "depth", 3, force_add=True)
    assert refusal(build.check, cfg) == "unknown key depth; did you mean model.depth?"


def test_nodes_inside_nodes_and_lists_are_checked():
    inner = {"_target_": f"{HERE}.rule", "max_norm": -1}
    outer = {"_target_": f"{HERE}.anything", "parts": [inner]}
    assert refusal(check_node, outer, "data", known=[]) == "data.parts.0.max_norm must be greater than 0, got -1"


def test_a_node_is_not_checked_against_the_annotation_it_is_passed_to():
    check_node({"_target_": f"{HERE}.Net", "depth": {"_target_": f"{HERE}.anything"}}, "model", known=[])


@pytest.mark.parametrize(
    ("value", "hint"),
    [(3, float), ([0.9, 0.99], tuple[float, float]), (None, int | None), ("a", str), (1, "NoSuchName"), ({}, dict),
     (1, Annotated[int, ["no key of a dictionary"]])],
)  # fmt: skip
def test_values_that_fit(value, hint):
    check_value(value, hint, "here")


@pytest.mark.parametrize(
    ("value", "hint", "wanted"),
    [
        (True, int, "a valid integer"),
        (1.0, int, "a valid integer"),
        ("1", float, "a valid number"),
        ([0.9], tuple[float, float], "tuple[float, float]"),
        ("x", int | None, "a valid integer"),
        (0, Annotated[int, annotated_types.Ge(1)], "greater than or equal to 1"),
    ],
)
def test_values_that_do_not_fit(value, hint, wanted):
    assert f"here must be {wanted}" in refusal(check_value, value, hint, "here")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("torch.nn.Relu6", "there is no torch.nn.Relu6; did you mean torch.nn.ReLU6?"),
        ("torhc.nn.ReLU", "there is no torhc.nn.ReLU; did you mean torch.nn.ReLU?"),
        ("gradlab.erorrs.closest", "did you mean gradlab.errors.closest?"),
        ("zzzz.nothing", "there is no zzzz.nothing"),
        ("math.pi", "math.pi is a float, which cannot be called"),
    ],
)
def test_a_target_that_is_not_there(target, message):
    assert message in refusal(locate, target, "activation")


def test_a_module_that_fails_to_import_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken_part.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    message = refusal(locate, "broken_part.swish", "activation")
    assert message == (
        "activation: cannot import broken_part.swish: ModuleNotFoundError: No module named 'no_such_library'"
    )


def test_build_hands_arguments_over_as_they_are():
    shape = (1, 8, 8)
    net = build.build(node(_target_=f"{HERE}.Net", depth=2, betas=[1, 2]), "model", input_shape=shape)
    assert net.input_shape is shape
    assert type(net.betas) is list


def test_build_makes_partials_and_nested_parts():
    part = {"_target_": f"{HERE}.rule", "_partial_": True, "max_norm": 1.0}
    assert isinstance(build.build(node(**part), "clipping"), functools.partial)
    assert build.build(node(**part), "clipping")([0.5, 3.0]) == [0.5, 1.0]
    net = build.build(node(_target_=f"{HERE}.Net", depth=1, part=part), "model", input_shape=(1,))
    assert net.part([2.0]) == [1.0]


def test_partials_of_known_parts_are_plain_and_those_of_other_modules_keep_their_guard():
    known, other = "torch.nn.LeakyReLU", f"{HERE}.anything"
    nodes = {target: {"_target_": target, "_partial_": True} for target in (known, other, "torch.relu")}
    node = OmegaConf.create({"_target_": "gradlab.nn.mlp.MLP", "_partial_": True, "rule": nodes[known]})
    node.other = nodes[other]
    rule, guarded = (build.build(node, "part").keywords[name] for name in ("rule", "other"))
    assert type(rule) is functools.partial
    assert rule.func is torch.nn.LeakyReLU
    assert isinstance(guarded, functools.partial)
    assert type(guarded) is not functools.partial
    assert build.build(OmegaConf.create(nodes["torch.relu"]), "part")(torch.tensor(-1.0)) == 0  # it has no module


def test_what_builds_only_partials_is_made_once_and_handed_out_in_copies(monkeypatch):
    calls = []
    counted = lambda *given, **how: calls.append(given) or instantiate(*given, **how)  # noqa: E731
    monkeypatch.setattr("gradlab.config.factories.instantiate", counted)
    partial = {"_target_": "torch.nn.LeakyReLU", "_partial_": True, "betas": [0.9, 0.99]}
    first, second = (build.build(node(**partial), "optimizer") for _ in range(2))
    first.keywords["betas"].append(3)
    assert second.keywords == {"betas": [0.9, 0.99]}
    assert len(calls) == 1
    # Values that only look alike, and parts that may have a state, are others.
    assert type(build.build(node(**partial | {"betas": 1}), "optimizer").keywords["betas"]) is int
    assert type(build.build(node(**partial | {"betas": True}), "optimizer").keywords["betas"]) is bool
    assert type(build.build(node(**partial | {"betas": "1"}), "optimizer").keywords["betas"]) is str
    object_ = {"_target_": f"{HERE}.Net", "input_shape": [1], "depth": 1}
    one, other = (build.build(node(**partial | {"part": [object_]}), "optimizer").keywords["part"][0] for _ in "ab")
    assert one is not other
    assert len(calls) == 6


def test_a_target_that_is_an_object_stays_the_same_one():
    made = [build.build(node(_target_=f"{HERE}.maker", _partial_=True, slopes=[1]), "activation")() for _ in range(2)]
    assert all(one is maker for one, _ in made)
    assert made[0][1]["slopes"] is not made[1][1]["slopes"]


def test_build_names_the_key_that_the_target_refuses():
    message = refusal(build.build, node(_target_=f"{HERE}.Net", depth=0), "model", input_shape=(1,))
    assert message == "model.depth must be at least 1, got 0"
    assert refusal(build.build, node(_target_=f"{HERE}.refuse", level=3), "data") == "data.level: invalid level: 3"


def test_build_keeps_the_cause_and_names_a_nested_node():
    # Hydra 1.4 no longer says which of the nested nodes it was.
    cfg = node(model={"_target_": f"{HERE}.anything", "part": {"_target_": f"{HERE}.refuse", "level": 3}})
    with pytest.raises(GradlabError, match=r"^model(\.part)?: invalid level: 3$") as caught:
        build.build(cfg.model, "model")
    assert isinstance(caught.value.__cause__, TypeError)


def test_build_needs_a_target():
    assert refusal(build.build, node(scale=1), "data") == "data has no _target_, so nothing can be built from it"


def test_blame_covers_a_call_made_later():
    with (
        pytest.raises(GradlabError, match=r"^clipping\.mode: the mode broken is not known$"),
        build.blame("clipping", keys=["mode", "max_norm"]),
    ):
        rule([], max_norm=1.0, mode="broken")


def test_overrides_of_groups_that_the_model_does_not_use():
    cfg = whole()
    overrides = ["activation.slope=1", "initializer=orthogonal", "model=net", "optimizer.lr=1"]
    assert build.unused_groups(cfg, overrides) == ["initializer=orthogonal has no effect: model=net does not use it"]
    assert build.unused_groups(cfg, ["residual=identity"]) == [
        f"residual=identity has no effect: the model {HERE}.Net does not use it"
    ]


def test_suggestions():
    known = ["model", "model.depth", "optimizer.lr", "train.batch_size", "activation", "model.activation"]
    assert closest_key("depth", known) == "model.depth"
    assert closest_key("model.dpeth", known) == "model.depth"
    assert closest_key("lr", known) == "optimizer.lr"
    assert closest_key("activatoin", known) == "activation"
    assert closest_key("optimizer.zzz", known) is None
    assert closest_key("anything", []) is None
    assert closest("RELU", ["relu", "selu"]) == "relu"
    assert closest("qqq", ["relu"]) is None
