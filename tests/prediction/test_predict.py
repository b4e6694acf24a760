"""run.json.theory of real runs, and networks that theory must not pretend to know."""

import json
from math import log, sqrt

import numpy as np
import pytest
import torch
from tests.support.running import compose_config
from torch import nn

from gradlab.prediction.activation import phi_of
from gradlab.prediction.predict import peek, predict
from gradlab.prediction.weights import affine_of
from gradlab.run.assemble import assemble
from gradlab.theory.forecast import WIDEST
from gradlab.theory.sentences import in_words

SMALL = ("train=init", "train.checkpoint=false", "data=gaussian", "data.features=128", "model.width=128")


def theory(done):
    return json.loads((done.folder / "run.json").read_text())["theory"]


def foretell(*overrides):
    loop = assemble(compose_config("model.depth=5", "model.width=16", *overrides))
    return predict(loop.model, peek(loop.batches))


def slope(done, column="preactivation_grad_norm"):
    """Of ln |g|^2 for one layer back, from gradients.csv alone."""
    norms = done.hidden()[column]
    return -np.polyfit(norms.index, 2 * np.log(norms), 1)[0]


def test_a_plain_net_has_the_chi_of_the_literature(run):
    done = run(*SMALL, "model.depth=40", "activation=sigmoid", "initializer=xavier_normal")
    found = theory(done)
    assert found["prediction"]["chi"] == pytest.approx(0.0557207, rel=0.01)
    assert found["prediction"]["q_star"] == pytest.approx(0.264687, rel=0.01)
    assert found["prediction"]["depth_scale"] == pytest.approx(-1 / log(0.0557207), rel=0.01)
    assert found["measurement"]["log_growth"] == pytest.approx(slope(done))
    hidden = done.hidden().preactivation_grad_norm
    assert found["measurement"]["gradient_ratio"] == pytest.approx(hidden.iloc[0] / hidden.iloc[-1])
    assert found["prediction"]["gradient_ratio"] == pytest.approx(0.0557207 ** (39 / 2), rel=0.3)
    assert found["tolerance"] == pytest.approx(2 / 256 + 4 * sqrt(2 / 128 / 40), rel=0.1)  # sigmoid is nearly linear
    assert found["agreement"] is True
    # the second moment of z, from the recorded norm of 64 samples of 128 units
    z = done.hidden().preactivation_norm ** 2 / (64 * 128)
    assert found["measurement"]["variances"] == pytest.approx(list(z))
    assert np.mean(found["measurement"]["variances"]) == pytest.approx(
        np.mean(found["prediction"]["variances"]), rel=0.2
    )


CASES = {
    "orthogonal": ("activation=tanh", "initializer=orthogonal", "model.depth=60"),
    "kinks and biases": ("activation=hardtanh", "initializer=default", "model.depth=20"),
    "layer norm": ("normalization=layer_norm", "activation=elu", "model.depth=30"),
    "batch norm": ("normalization=batch_norm", "model.depth=30", "train.batch_size=48"),
    "scaled": ("residual=scaled", "residual.alpha=0.3", "model.depth=30"),
    "deep branches": ("residual=pre_activation", "model.block_depth=3", "normalization=rms_norm", "model.depth=31"),
    "weight norm": ("normalization=weight_norm", "activation=gelu", "model.depth=20"),
    "lsuv": ("initializer=lsuv", "activation=tanh", "model.depth=20"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_theory_agrees_and_would_notice(run, case):
    done = run(*SMALL, *case)
    found = theory(done)
    assert found["agreement"] is True, (found["difference"], found["tolerance"])
    assert found["difference"] == pytest.approx(slope(done) - found["prediction"]["log_growth"])
    assert found["limit"] < 0.2


def test_a_convolution_loses_gradient_at_the_edges(run):
    sizes = ("model=cnn", "model.depth=20", "model.width=32", "model.stages=1", "train=init", "train.batch_size=16")
    zeros, circular = (theory(run(*sizes, f"model.padding_mode={mode}")) for mode in ("zeros", "circular"))
    assert zeros["prediction"]["log_growth"] < -0.05 < circular["prediction"]["log_growth"]
    assert circular["agreement"] is True
    assert abs(zeros["difference"]) < zeros["limit"]
    assert max(abs(found["difference_decades"]) for found in (zeros, circular)) < 0.3


def test_blocks_that_are_closed_pass_the_gradient_whole(run):
    for residual in ("rezero", "fixup"):
        found = theory(run(*SMALL, f"residual={residual}", "model.depth=9", "model.block_depth=2"))
        assert found["column"] == "activation_grad_norm"
        assert found["prediction"]["gradient_ratio"] == 1
        assert found["agreement"] is True


def test_gates_hand_on_what_their_biases_say(run):
    still = ("data=adding", "data.length=20", "train=init", "initializer=zeros", "recurrent_initializer=zeros")
    found = theory(run("model=lstm", "model.forget_bias=2", *still))
    assert found["over"] == "time"
    assert found["column"] == "cell_grad_norm"
    assert found["prediction"]["chi"] == pytest.approx((1 / (1 + np.exp(-2))) ** 2)
    assert found["prediction"]["gradient_ratio"] == pytest.approx((1 / (1 + np.exp(-2))) ** 19)
    assert found["agreement"] is True
    assert theory(run("model=gru", *still))["prediction"]["gradient_ratio"] == pytest.approx(0.5**19)


@pytest.mark.parametrize(
    ("overrides", "growth"),
    [
        (
            ("activation=identity", "initializer=lecun_normal", "normalization=group_norm"),
            log(6 / 5),
        ),  # 8 features each
        (("activation=identity", "initializer=orthogonal", "normalization=layer_norm"), log(62**2 / 63 / 61)),
        (("normalization=batch_norm", "train.batch_size=8", "model.width=256", "data.features=256"), 0.567),
    ],
    ids=["group norm", "layer norm, orthogonal", "batch norm"],
)
def test_normalization_over_few_numbers_has_its_finite_size_terms(run, overrides, growth):
    """(m - 2)/(m - 3) for m linear features, (N - 2)^2/((N - 1)(N - 3)), and relu with a batch of 8 by quadrature."""
    done = run("train=init", "data=gaussian", "data.features=64", "model.width=64", "model.depth=20", *overrides)
    found = theory(done)
    assert found["prediction"]["log_growth"] == pytest.approx(growth, abs=4e-3)
    assert abs(found["difference"]) < 0.06
    assert found["agreement"] is not False


def test_the_default_convolutional_net_is_judged(run):
    found = theory(run("model=cnn", "train=init"))
    assert found["agreement"] is True
    assert found["limit"] < found["tolerance"]


def test_a_plain_recurrent_net_over_time(run):
    done = run("model=rnn", "data=adding", "data.length=40", "train=init", "model.width=128")
    found = theory(done)
    assert found["agreement"] is True
    assert len(found["prediction"]["log_gradients"]) == 40
    assert found["prediction"]["chi"] < 0.7


NOT_COVERED = {
    "auxiliary heads": ("model.auxiliary_every=2",),
    "stochastic depth": ("residual=stochastic_depth",),
    "Identity": ("residual=identity",),
    "fewer than 6 samples": ("normalization=batch_norm", "train.batch_size=5"),
    "fewer than 6 numbers": ("normalization=group_norm",),
    "gates move": ("model=lstm", "model.depth=1", "data=adding"),
    "weights of 0": ("initializer=zeros",),
    "linear": ("model=linear", "~model.depth", "~model.width"),
    "uses only one or two inputs": ("initializer=identity", "model.width=64", "data=gaussian", "data.features=64"),
    "loss of its own": ("model=rnn", "data=copy_memory", "model.depth=1"),
    "outgrow their batch": ("activation=silu", "normalization=batch_norm", "model.depth=30"),
    "stacked": ("model=rnn", "model.depth=2"),
    "change the shape": ("model=cnn", "residual=pre_activation"),
}


@pytest.mark.parametrize(("reason", "overrides"), NOT_COVERED.items(), ids=NOT_COVERED)
def test_what_theory_does_not_cover_it_says(reason, overrides):
    if reason == "linear":
        loop = assemble(compose_config("model=linear"))
        found = predict(loop.model, peek(loop.batches))
        reason = "LinearModel"
    else:
        found = foretell(*overrides)
    assert isinstance(found, str)
    assert found.startswith("no prediction: ")
    assert reason in found


class Cube(nn.Module):
    def forward(self, x):
        return torch.exp(x**2)


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean()


@pytest.mark.parametrize(
    ("module", "reason"),
    [(Cube, "second moment"), (Centred, "is not elementwise"), (nn.Dropout, "random"), (nn.Softmax, "not elementwise"),
     (lambda: nn.PReLU(16), "vector of numbers")],
)  # fmt: skip
def test_strange_activations(module, reason):
    loop = assemble(compose_config("model.depth=3", "model.width=16"))
    for layer in [loop.model.stem, *(block[0] for block in loop.model.blocks)]:
        layer.activation = module() if module is not nn.Softmax else nn.Softmax(dim=-1)
    found = predict(loop.model, peek(loop.batches))
    assert isinstance(found, str)
    assert reason in found


class Sloped(nn.Module):
    def __init__(self, slope):
        super().__init__()
        self._slope = slope

    def forward(self, x):
        return self._slope * torch.relu(x)


@pytest.mark.parametrize(
    ("last", "alike"),
    [(lambda: Sloped(1.0), True), (lambda: Sloped(torch.tensor(1.0)), True), (lambda: Sloped(0.9), False),
     (lambda: Sloped(torch.tensor(0.9)), False), (nn.ReLU, False)],
)  # fmt: skip
def test_activations_that_differ_are_noticed_by_their_settings_or_their_values(last, alike):
    loop = assemble(compose_config("model.depth=3", "model.width=16"))
    layers = [loop.model.stem, *(block[0] for block in loop.model.blocks)]
    for layer in layers[:-1]:
        layer.activation = Sloped(1.0)
    layers[-1].activation = last()
    found = predict(loop.model, peek(loop.batches))
    assert isinstance(found, str) is not alike
    assert alike or "the activation is not the same in all layers" in found


def test_an_activation_of_torch_is_tried_once_for_each_of_its_settings():
    known = phi_of([nn.LeakyReLU(0.1), nn.LeakyReLU(0.1)])
    assert phi_of([nn.LeakyReLU(0.1)]) is known
    hooked = nn.LeakyReLU(0.1)
    hooked.register_forward_hook(lambda module, args, output: 2 * output)
    kinds = [nn.LeakyReLU(0.2), nn.LeakyReLU(1), nn.LeakyReLU(1.0), nn.PReLU(init=0.3), nn.PReLU(init=0.4), hooked]
    slopes = [float(phi_of([kind]).slope(np.array([-1.0]))[0]) for kind in kinds]
    assert slopes == pytest.approx([0.2, 1, 1, 0.3, 0.4, 0.2])
    assert phi_of([Sloped(1.0)]) is not phi_of([Sloped(1.0)])  # whose code may look at more than its settings
    assert len({id(phi_of([nn.LeakyReLU(slope)])) for slope in (1, 1.0, True)}) == 3


def test_weights_are_measured_whatever_drew_them():
    torch.manual_seed(0)
    layer = nn.Linear(400, 300)
    nn.init.uniform_(layer.weight, -0.1, 0.1)
    assert affine_of(layer).weight_variance == pytest.approx(400 * 0.1**2 / 3, rel=0.02)
    nn.init.constant_(layer.weight, 0.1)
    with pytest.raises(Exception, match="mean other than 0"):
        affine_of(layer)
    conv = nn.Conv2d(8, 16, 3)
    taps = conv.weight.detach().square().sum(1).mean(0)
    assert affine_of(conv).taps == pytest.approx(taps.double().numpy())


def test_predicting_leaves_no_trace(monkeypatch):
    loop = assemble(compose_config("model.depth=4", "model.width=16"))
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("a GPU is seeded again"))
    before = torch.get_rng_state(), {name: value.clone() for name, value in loop.model.state_dict().items()}
    epoch = loop.batches.epoch
    predict(loop.model, peek(loop.batches))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert loop.batches.epoch == epoch
    assert all(torch.equal(value, before[1][name]) for name, value in loop.model.state_dict().items())


def test_nothing_recorded_is_nothing_to_compare(run):
    found = theory(run("train=smoke", "probe=off", "model.depth=4"))
    assert found["measurement"] is None
    assert found["agreement"] is None
    assert found["prediction"]["chi"] == pytest.approx(1.0, abs=0.05)


def test_what_is_too_narrow_to_tell_is_no_agreement(run):
    found = theory(run("model.depth=4", "model.width=8", "train=init"))
    assert found["tolerance"] > max(WIDEST, abs(found["prediction"]["log_growth"]), abs(found["difference"]))
    assert found["agreement"] is None
    assert "network too small to decide" in in_words(found)[1]


SHAPES = (
    "model.depth=1",
    "model.depth=2",
    "model.depth=5 model.stages=1",
    "model.depth=6 model.stages=5",
    "model.depth=5 model.block_depth=2 model.stages=2 model.shortcut=projection",
    "model.kernel_size=1",
)
ZEROS = (
    "initializer=zeros",
    "residual=fixup",
    "residual=rezero",
    "residual=stochastic_depth residual.survival=1",
    "residual=stochastic_depth residual.survival=1 residual.per_sample=true",
)


@pytest.mark.parametrize("option", ZEROS)
@pytest.mark.parametrize("shape", SHAPES)
def test_weights_of_zero_and_blocks_that_are_never_dropped_have_an_answer_at_any_shape_of_a_cnn(shape, option):
    """Zero taps summed to a number in place of a map, and a drop per sample was asked of no sample."""
    found = foretell("model=cnn", "model.width=4", *shape.split(), *option.split())
    assert isinstance(found, str) or len(found.log_gradients) == len(list(found.places))


def test_a_block_that_is_never_dropped_is_predicted_like_one_that_cannot_be():
    kind = ("residual=stochastic_depth", "residual.survival=1", "residual.per_sample=true")
    found, plain = foretell(*kind), foretell("residual=pre_activation")
    assert found.log_gradients == plain.log_gradients
    assert min(found.log_gradients) != max(found.log_gradients)
