"""Every option of every group composes, fits its target, builds and trains one step."""

import json
from importlib.util import find_spec

import pytest

from gradlab.config import build
from gradlab.config.paths import CONFIGS
from gradlab.diagnosis.verdict import root_cause
from gradlab.run.assemble import assemble
from tests.support.running import compose_config

GROUPS = ["activation", "initializer", "recurrent_initializer", "normalization", "residual", "clipping", "optimizer",
          "lr_scheduler", "data", "model", "train", "probe", "diagnosis"]  # fmt: skip
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((CONFIGS / group).glob("*.yaml"))]


# These want files, a user's class, or an answer at every time step: other tests train on them.
ELSEWHERE = ["mnist", "fashion_mnist", "cifar10", "image_folder", "sequential_mnist", "permuted_mnist", "copy_memory",
             "table", "custom"]  # fmt: skip


NEEDS_TIMM = ("lamb", "lars", "lion")
without_timm = pytest.mark.skipif(find_spec("timm") is None, reason="needs the extra optimizers")


def _case(group, option):
    return pytest.param(group, option, marks=[without_timm] if option in NEEDS_TIMM else [])


@pytest.mark.parametrize(("group", "option"), [_case(*item) for item in OPTIONS if item[1] not in ELSEWHERE])
def test_every_option_trains_a_step(group, option):
    sizes = [] if group == "model" else ["model.depth=3", "model.width=16"]
    cfg = compose_config(*sizes, f"{group}={option}", "train.steps=1")
    build.check(cfg)
    (metrics,) = list(assemble(cfg).run())
    assert metrics["train_loss"] > 0
    assert metrics["grad_norm"] > 0


def _ends_well_or_says_why(done):
    """A run that diverged names its root cause and what to do about it; none fails."""
    record = json.loads((done.folder / "run.json").read_text())
    assert record["status"] in ("completed", "diverged")
    if record["status"] == "diverged":
        cause = root_cause(record["verdicts"])
        assert cause is not None
        assert cause["sentence"]
        assert cause["remedies"]


@pytest.mark.slow
@pytest.mark.parametrize(("group", "option"), [_case(*item) for item in OPTIONS if item[1] not in ELSEWHERE])
def test_every_option_alone_at_the_defaults_ends_well_or_says_why(run, group, option):
    _ends_well_or_says_why(run(f"{group}={option}"))


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "residual"])
def test_every_residual_alone_at_the_default_sizes_ends_well_or_says_why(run, option):
    """In few steps: of all groups this one diverges most often at the default rate."""
    _ends_well_or_says_why(run(f"residual={option}", "train.steps=30", "train.eval_every=0"))


PART_OPTIONS = [item for item in OPTIONS if item[0] in ("activation", "initializer", "normalization", "residual")]


@pytest.mark.parametrize(("group", "option"), PART_OPTIONS)
def test_every_part_fits_a_cnn_with_stages(group, option):
    sizes = ("model.depth=5", "model.width=8", "model.stages=3", "model.block_depth=2")
    cfg = compose_config("model=cnn", *sizes, f"{group}={option}", "train.steps=1", "train.eval_every=0")
    (metrics,) = list(assemble(cfg).run())
    assert metrics["train_loss"] > 0
    assert metrics["grad_norm"] > 0


RECURRENT_OPTIONS = [
    item for item in OPTIONS if item[0] in ("activation", "initializer", "recurrent_initializer") and item[1] != "lsuv"
]


@pytest.mark.parametrize(("group", "option"), RECURRENT_OPTIONS)
def test_every_part_fits_a_recurrent_net(group, option):
    sizes = ("model.depth=2", "model.width=8", "train.steps=1", "train.eval_every=0")
    (metrics,) = list(assemble(compose_config("model=rnn", *sizes, f"{group}={option}")).run())
    assert metrics["train_loss"] > 0
    assert metrics["grad_norm"] > 0


def test_recurrent_matrices_have_the_same_initializers():
    """Each with a line of its own that only points to it."""
    own, theirs = (sorted((CONFIGS / group).glob("*.yaml")) for group in ("recurrent_initializer", "initializer"))
    assert [path.name for path in own] == [path.name for path in theirs]
    for path, original in zip(own, theirs, strict=True):
        first, second = path.read_text().splitlines()
        assert first == original.read_text().splitlines()[0]
        assert second == f"defaults: [/initializer@_here_: {path.stem}]"


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_file_begins_with_what_it_is(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert 10 < len(first) <= 120


PARTS = [(n, r) for n in ("none", "batch_norm", "weight_norm") for r in ("identity", "fixup", "highway")]


@pytest.mark.parametrize(("normalization", "residual"), PARTS)
@pytest.mark.parametrize("block_depth", [1, 2, 4])
def test_parts_combine_freely(normalization, residual, block_depth):
    sizes = ("model.depth=6", "model.width=16", f"model.block_depth={block_depth}", "model.bias=false")
    parts = ("initializer=lsuv", f"normalization={normalization}", f"residual={residual}")
    cfg = compose_config(*sizes, *parts, "train.steps=2")
    loop = assemble(cfg)
    (first, second) = [point.affine for point in loop.model.points() if point.role == "main"][::6]
    assert first.bias is None
    assert second.bias is None
    assert [point.depth_index for point in loop.model.points() if point.role == "main"] == list(range(1, 8))
    assert len(list(loop.run())) == 2
