"""gradlab's own CSVs against signal-propagation theory and published training results."""

import json
from math import log, pi, sqrt

import numpy as np
import pytest
import torch

from gradlab.run.assemble import assemble
from tests.support.counting import python_calls
from tests.support.running import compose_config
from tests.support.theory import slope_moments


def mean_growth(runs) -> float:
    """Slope of ln |dL/dz|^2 per layer going back, averaged over runs, by least squares."""
    slopes = []
    for run in runs:
        squares = 2 * np.log(run.hidden().preactivation_grad_norm)
        slopes.append(-np.polyfit(squares.index, squares, 1)[0])
    return float(np.mean(slopes))


PROPAGATION = [
    # activation, weight variance, bias variance, q*, chi as published and recomputed
    ("relu", torch.relu, 2.0, 0.0, 1.0, 1.0),
    ("relu", torch.relu, 1.0, 0.0, 1.0, 0.5),
    ("leaky_relu", lambda z: torch.nn.functional.leaky_relu(z, 0.2), 1.5, 0.0, 1.0, 1.5 * (1 + 0.2**2) / 2),
    ("tanh", torch.tanh, 1.3, 0.05, 0.31532, 0.88016),
    ("tanh", torch.tanh, 1.76095, 0.05, 0.57005, 1.0),
    ("tanh", torch.tanh, 3.0, 0.05, 1.42801, 1.20893),
    ("sigmoid", torch.sigmoid, 1.0, 0.0, 0.264687, 0.0557207),
    ("sigmoid", torch.sigmoid, 16.0, 0.0, 5.8554, 0.398879),
    ("selu", torch.selu, 1.0, 0.0, 1.0, 1.071575),
]


ALSO = (1, 2, 3, 5, 7, 8)  # of these, in the slow tests


@pytest.mark.parametrize(
    ("name", "phi", "sw2", "sb2", "q", "chi"),
    [pytest.param(*case, marks=pytest.mark.slow if i in ALSO else ()) for i, case in enumerate(PROPAGATION)],
)
def test_gradients_grow_by_chi_per_layer(run, name, phi, sw2, sb2, q, chi):
    width, depth, seeds = 256, 40, 2
    square, v = slope_moments(phi, q)
    if name not in ("relu", "leaky_relu"):
        assert sw2 * square == pytest.approx(chi, abs=1e-4)
    extra = ["activation.negative_slope=0.2"] if name == "leaky_relu" else []
    scale = sqrt((q - sb2) / sw2)  # so that the first layer's z has variance q*
    runs = [
        run(
            "train=init",
            f"seed={seed}",
            "data=gaussian",
            f"data.features={width}",
            f"data.scale={scale}",
            "train.batch_size=128",
            "train.dtype=float64",
            f"model.depth={depth}",
            f"model.width={width}",
            f"activation={name}",
            *extra,
            "initializer=mean_field",
            f"initializer.weight_variance={sw2}",
            f"initializer.bias_variance={sb2}",
        )
        for seed in range(seeds)
    ]
    tolerance = v / (2 * width) + 4 * sqrt(v / (width * depth * seeds))
    assert mean_growth(runs) == pytest.approx(log(chi), abs=tolerance)


@pytest.mark.parametrize(
    ("initializer", "activation", "chi"),
    [("kaiming_normal", "relu", 1.0), ("xavier_uniform", "relu", 0.5), ("default", "relu", 1 / 6),
     pytest.param("kaiming_uniform", "relu", 1.0, marks=pytest.mark.slow),
     pytest.param("xavier_normal", "relu", 0.5, marks=pytest.mark.slow),
     pytest.param("lecun_normal", "relu", 0.5, marks=pytest.mark.slow),
     pytest.param("uniform", "relu", 1 / 6, marks=pytest.mark.slow)],
)  # fmt: skip
def test_named_initializers_have_their_theory(run, initializer, activation, chi):
    width, depth, seeds = 256, 40, 2
    runs = [
        run("train=init", f"seed={s}", "data=gaussian", f"data.features={width}", f"model.depth={depth}",
            f"model.width={width}", f"activation={activation}", f"initializer={initializer}")
        for s in range(seeds)
    ]  # fmt: skip
    assert mean_growth(runs) == pytest.approx(log(chi), abs=5 / (2 * width) + 4 * sqrt(5 / (width * depth * seeds)))


def test_fifty_sigmoid_layers_vanish_by_0_236_per_layer(run):
    done = run(
        "activation=sigmoid", "initializer=xavier_normal", "model.depth=50", "model.width=256",
        "train=init", "data=gaussian", "data.features=256",
    )  # fmt: skip
    norms = done.hidden().preactivation_grad_norm
    assert len(norms) == 50
    assert (norms > 0).all()
    assert np.polyfit(norms.index, -np.log(norms), 1)[0] == pytest.approx(-1.44, abs=0.03)
    record = json.loads((done.folder / "run.json").read_text())
    assert record["verdicts"][0]["name"] == "vanishing"
    assert "x 0.236 per layer" in record["verdicts"][0]["sentence"]
    assert record["metrics"]["decades_per_layer_initial"] == pytest.approx(0.627, abs=0.01)
    update = done.gradients[["update_norm", "update_ratio"]]
    assert update.isna().all().all()
    assert (done.folder / "checkpoint.pt").exists()


def test_a_hundred_sigmoid_layers_underflow_in_float32_and_not_in_float64(run):
    config = ("activation=sigmoid", "initializer=xavier_normal", "model.depth=100", "model.width=64",
              "train=init", "data=gaussian", "data.features=64")  # fmt: skip
    single, double = run(*config), run(*config, "train.dtype=float64")
    assert (single.hidden().preactivation_grad_norm == 0).any()
    assert (double.hidden().preactivation_grad_norm > 0).all()
    sentence = json.loads((single.folder / "run.json").read_text())["verdicts"][0]["sentence"]
    assert "train.dtype=float64" in sentence


def test_a_deep_orthogonal_linear_net_keeps_every_norm(run):
    done = run("train=init", "data=gaussian", "data.features=128", "model.width=128", "model.depth=200",
               "activation=identity", "initializer=orthogonal")  # fmt: skip
    norms = done.hidden().activation_grad_norm
    assert len(norms) == 200
    assert norms.max() / norms.min() - 1 < 2e-6


def test_batch_norm_makes_a_plain_relu_net_explode(run):
    growth = []
    for initializer in ("kaiming_normal", "xavier_normal"):
        done = run("train=init", "data=gaussian", "train.batch_size=1024", "model.depth=30", "model.width=256",
                   "normalization=batch_norm", f"initializer={initializer}")  # fmt: skip
        squares = 2 * np.log(done.hidden().activation_grad_norm.loc[5:])
        growth.append(-np.polyfit(squares.index, squares, 1)[0])
    assert np.exp(growth) == pytest.approx([pi / (pi - 1)] * 2, rel=0.03)


@pytest.mark.parametrize("alpha", [pytest.param(0.1, marks=pytest.mark.slow), 0.3, 1.0])
def test_scaled_residual_grows_by_one_plus_alpha_squared(run, alpha):
    forward, backward = [], []
    for seed in range(3):
        done = run("train=init", "data=gaussian", "model.depth=51", "model.width=256", f"seed={seed}",
                   "residual=scaled", f"residual.alpha={alpha}")  # fmt: skip
        hidden = done.hidden()
        forward.append(np.polyfit(hidden.index, 2 * np.log(hidden.activation_norm), 1)[0])
        backward.append(-np.polyfit(hidden.index, 2 * np.log(hidden.activation_grad_norm), 1)[0])
    tolerance = 5 / 512 + 4 * sqrt(5 / (256 * 50 * 3))
    assert np.mean(forward) == pytest.approx(log(1 + alpha**2), abs=tolerance)
    assert np.mean(backward) == pytest.approx(log(1 + alpha**2), abs=tolerance)


@pytest.mark.parametrize("residual", ["rezero", "skip_init", "fixup"])
@pytest.mark.parametrize("block_depth", [1, 2, 3])
def test_identity_initialized_blocks_are_exact_identities(run, residual, block_depth):
    done = run("train=init", "model.depth=20", "model.width=32", f"residual={residual}",
               f"model.block_depth={block_depth}")  # fmt: skip
    blocks = done.hidden().iloc[::block_depth][["activation_norm", "activation_grad_norm"]]
    ends = done.hidden().activation_grad_norm
    stem_and_ends = ends[[1, *range(1 + block_depth, 21, block_depth), 20]]
    assert stem_and_ends.nunique() == 1
    assert stem_and_ends.iloc[0] > 0
    assert len(blocks) > 5


@pytest.mark.parametrize("residual", ["none", "identity", "pre_activation", "highway"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_lsuv_gives_every_layer_unit_variance(run, residual, activation):
    done = run("train=init", "model.depth=20", "model.width=64", "initializer=lsuv", f"residual={residual}",
               f"activation={activation}")  # fmt: skip
    variance = done.gradients.preactivation_std**2
    assert variance.between(0.9, 1.1).all()


def test_weight_gradients_hide_vanishing(run):
    done = run("train=init", "data=gaussian", "initializer=xavier_normal", "model.depth=30", "model.width=256")
    weight = done.hidden().weight_grad_norm
    assert 0.3 < weight.iloc[0] / weight.iloc[-1] < 3
    signal = done.hidden().preactivation_grad_norm
    assert np.polyfit(signal.index, 2 * np.log(signal), 1)[0] == pytest.approx(log(2), abs=0.15)


HE_2015 = ("model.depth=30", "model.width=128", "optimizer.lr=0.02", "clipping=norm", "train.steps=600")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_he_trains_thirty_relu_layers_and_xavier_does_not(run, seed):
    he = run(*HE_2015, "initializer=kaiming_normal", f"seed={seed}").metrics.iloc[-1]
    xavier = run(*HE_2015, "initializer=xavier_normal", f"seed={seed}").metrics.iloc[-1]
    assert he.eval_accuracy > 0.9
    assert xavier.eval_accuracy < 0.15
    assert xavier.train_loss == pytest.approx(log(10), abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "low", "high"), [(2, 0.93, 1.0), (4, 0.8, 0.97), (9, 0.05, 0.2)])
def test_sigmoid_trains_only_when_shallow(run, depth, low, high):
    """Published for 3, 5 and 10 weight layers, the head counted."""
    done = run("activation=sigmoid", "initializer=xavier_normal", f"model.depth={depth}", "optimizer.lr=0.1")
    assert low < done.metrics.iloc[-1].eval_accuracy < high


@pytest.mark.slow
def test_batch_norm_needs_the_skip_at_sixty_layers(run):
    config = ("normalization=batch_norm", "model.width=64", "optimizer.lr=0.01")
    shallow = run(*config, "model.depth=10").metrics.iloc[-1].eval_accuracy
    plain = run(*config, "model.depth=60").metrics.iloc[-1].eval_accuracy
    residual = run(*config, "model.depth=60", "residual=identity", "model.block_depth=2").metrics.iloc[-1].eval_accuracy
    assert shallow > 0.9
    assert plain < 0.5
    assert residual > 0.85


DEEP_CNN = ("model=cnn", "model.stages=1", "initializer=delta_orthogonal", "train=init")


@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_a_deep_delta_orthogonal_linear_cnn_keeps_every_norm(run, padding):
    done = run(*DEEP_CNN, "model.depth=100", f"model.padding_mode={padding}", "activation=identity")
    norms = done.hidden().activation_grad_norm
    assert len(norms) == 100
    assert norms.max() / norms.min() - 1 < 1e-5


@pytest.mark.slow
def test_ten_thousand_tanh_layers_pass_the_gradient_on(run):
    """A power law, not an exponential: published as trainable by Xiao et al. 2018."""
    done = run(*DEEP_CNN, "model.depth=10000", "activation=tanh")
    hidden = done.hidden()
    assert len(hidden) == 10000
    for column in ("preactivation_grad_norm", "activation_grad_norm", "weight_grad_norm"):
        assert hidden[column].max() / hidden[column].min() < 10
    first_to_last = hidden.preactivation_grad_norm.iloc[0] / hidden.preactivation_grad_norm.iloc[-1]
    assert 0.1 < first_to_last < 0.5


@pytest.mark.slow
def test_a_step_costs_calls_in_proportion_to_depth():
    def calls(depth):
        loop = assemble(compose_config(*DEEP_CNN, f"model.depth={depth}", "train.steps=2", "probe=full"))
        stream = loop.run()
        next(stream)
        return python_calls(next, stream)

    assert calls(1000) / calls(100) < 12


def test_deep_supervision_brings_the_gradient_to_the_first_layer(run):
    """Published for Lee et al.'s heads with GoogLeNet's weight: 8.8e-7 without them, 7.2e-3 with."""
    config = ("activation=sigmoid", "initializer=xavier_normal", "model.depth=10", "train=init")
    alone, supervised = (run(*config, f"model.auxiliary_every={every}") for every in (0, 3))
    first = [done.hidden().weight_grad_norm.iloc[0] for done in (alone, supervised)]
    assert first[0] == pytest.approx(8.8e-7, rel=1)
    assert first[1] == pytest.approx(7.2e-3, rel=0.5)
