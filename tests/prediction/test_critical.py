"""Critical (weight variance, bias variance) of every activation that there is, against a quadrature of its own."""

from math import sqrt

import numpy as np
import pytest
import torch
from tests.support.running import compose_config

from gradlab.config import build
from gradlab.config.paths import CONFIGS
from gradlab.prediction.activation import phi_of
from gradlab.prediction.predict import critical_rows, peek
from gradlab.run.assemble import assemble
from gradlab.theory.mean_field import critical_line, critical_weight_variance

ACTIVATIONS = sorted(path.stem for path in (CONFIGS / "activation").glob("*.yaml"))
Z = torch.tensor(np.random.default_rng(0).standard_normal(4_000_000))


def module_of(name):
    return build.build(compose_config(f"activation={name}").activation, "activation")()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_has_its_critical_line(name):
    module = module_of(name).double()
    q = np.array([0.1, 1.0, 10.0])
    weights, biases = critical_line(phi_of([module]), q)
    for variance, weight, bias in zip(q, weights, biases, strict=True):
        z = (sqrt(variance) * Z[:400_000]).requires_grad_()
        h = module(z)
        (slope,) = torch.autograd.grad(h.sum(), z)
        assert weight * float(slope.square().mean()) == pytest.approx(1.0, rel=0.015)
        assert weight * float(h.detach().square().mean()) + bias == pytest.approx(variance, rel=0.015)


@pytest.mark.parametrize(
    ("name", "weight"),
    [("relu", 2.0), ("leaky_relu", 2 / (1 + 0.01**2)), ("prelu", 2 / (1 + 0.25**2)), ("identity", 1.0), ("tanh", 1.0)],
)
def test_closed_forms(name, weight):
    assert critical_weight_variance(phi_of([module_of(name)]), bias_variance=0.0) == pytest.approx(weight, rel=1e-6)


def test_erf_has_its_closed_form():
    """E[(2/sqrt(pi))^2 exp(-2 q Z^2)] = 4 / (pi sqrt(1 + 4 q)); E[erf^2] = (2/pi) asin(2 q / (1 + 2 q))."""
    q = np.array([0.2, 1.0, 5.0])
    weights, biases = critical_line(phi_of([module_of("erf")]), q)
    assert weights == pytest.approx(np.pi * np.sqrt(1 + 4 * q) / 4, rel=1e-7)
    assert biases == pytest.approx(q - weights * 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q)), abs=1e-7)


@pytest.mark.slow
def test_rows_of_the_line_are_critical_networks():
    loop = assemble(compose_config("activation=tanh", "initializer=xavier_normal", "model.depth=3"))
    rows = np.array(critical_rows(loop.model, peek(loop.batches)))
    assert np.interp(0.05, rows[:, 2], rows[:, 1]) == pytest.approx(1.76095, rel=5e-3)
    loop = assemble(compose_config("normalization=batch_norm", "model.depth=3"))
    assert critical_rows(loop.model, peek(loop.batches)) == []
