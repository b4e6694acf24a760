"""What the first step of an optimizer did, read from gradients.csv."""

from importlib.util import find_spec
from math import sqrt

import pytest
import torch

START = ("activation=tanh", "model.depth=4", "model.width=32", "train.steps=1", "train.eval_every=0", "probe=full")
SIZES = [32 * 64, 32 * 32, 32 * 32, 32 * 32, 10 * 32]
needs_timm = pytest.mark.skipif(find_spec("timm") is None, reason="needs the extra optimizers")


def layers(run, *overrides):
    return run(*START, *overrides).gradients


@pytest.mark.parametrize("name", ["adam", pytest.param("lion", marks=needs_timm)])
def test_adam_and_lion_move_every_weight_by_lr(run, name):
    """Three pixels are constant and get no gradient: 61 of 64 inputs of the first layer move."""
    table = layers(run, f"optimizer={name}", "optimizer.lr=0.01", "train.dtype=float64")
    moved = [32 * 61, *SIZES[1:]]
    assert table.update_norm.to_numpy() == pytest.approx([0.01 * sqrt(n) for n in moved], rel=1e-3)


@needs_timm
def test_lamb_moves_by_lr_times_the_norm_of_the_weight(run):
    table = layers(run, "optimizer=lamb", "optimizer.lr=0.01")
    assert table.update_ratio.to_numpy() == pytest.approx(0.01, rel=1e-4)


@needs_timm
@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_lars_moves_by_its_formula(run, beta):
    """You et al. 2017: lr eta |w| / (|g| + beta |w|) (g + beta w)."""
    table = layers(run, "optimizer=lars", "optimizer.lr=2.0", f"optimizer.weight_decay={beta}")
    w, g = table.weight_norm, table.weight_grad_norm
    direction = (g**2 + 2 * beta * table.weight_grad_cosine * w * g + beta**2 * w**2) ** 0.5
    expected = 2.0 * 0.001 * w / (g + beta * w) * direction
    assert table.update_norm.to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-3)


@needs_timm
def test_lars_does_not_mind_a_vanished_gradient(run):
    """Sixteen sigmoid layers: the first layer's gradient is far below 1e-8 where timm's own eps would cap the step."""
    table = layers(run, "activation=sigmoid", "model.depth=16", "optimizer=lars", "optimizer.weight_decay=0")
    assert table.weight_grad_norm.iloc[0] < 1e-9
    assert table.update_ratio.to_numpy() == pytest.approx(0.001, rel=1e-3)


def test_biases_and_normalizations_can_be_spared_the_decay(run):
    """After one step of SGD 0.1 with decay 0.5 a batch normalization's gain, 1 at the start, lies 0.05 higher."""

    def trained(*overrides):
        done = run(*START, "normalization=batch_norm", "optimizer=sgd", "optimizer.weight_decay=0.5", *overrides)
        return torch.load(done.folder / "checkpoint.pt", weights_only=True)["model"]

    decayed, spared = trained(), trained("train.decay_biases=false")
    for name in decayed:
        gain = 0.05 if name.endswith("normalization.weight") else 0.0
        torch.testing.assert_close(spared[name] - decayed[name], torch.full_like(spared[name], gain))
