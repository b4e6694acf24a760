from math import exp, inf, isnan, log, pi, sqrt

import numpy as np
import pytest
from tests.support.theory import RELU, SELU, SIGMOID, TANH, phi_of
from torch import nn

from gradlab.theory.gaussian import IDENTITY, mean
from gradlab.theory.mean_field import (
    chi,
    critical_point,
    critical_weight_variance,
    decades,
    depth_scale,
    fixed_point,
    gate_decay,
    length_map,
    slope_kurtosis,
    tolerance,
)


@pytest.mark.parametrize(
    ("phi", "weight", "bias", "q", "factor"),
    [
        (TANH, 1.3, 0.05, 0.31532, 0.88016),
        (TANH, 1.76095, 0.05, 0.57005, 1.0),
        (TANH, 3.0, 0.05, 1.42801, 1.20893),
        (SIGMOID, 1.0, 0.0, 0.264687, 0.0557207),
        (SIGMOID, 16.0, 0.0, 5.8554, 0.398879),
        (SELU, 1.0, 0.0, 1.0, 1.071575),
    ],
)
def test_fixed_points_and_chi_of_the_literature(phi, weight, bias, q, factor):
    found = fixed_point(phi, weight_variance=weight, bias_variance=bias)
    assert found == pytest.approx(q, rel=2e-5)
    assert chi(phi, found, weight_variance=weight) == pytest.approx(factor, rel=2e-5)


def test_relu_keeps_halves_or_loses_the_length():
    assert fixed_point(RELU, weight_variance=2.0, bias_variance=0.0, start=3.7) == pytest.approx(3.7)
    assert fixed_point(RELU, weight_variance=1.0, bias_variance=0.0) == 0
    assert fixed_point(RELU, weight_variance=3.0, bias_variance=0.0) == inf
    assert fixed_point(RELU, weight_variance=1.0, bias_variance=0.1) == pytest.approx(0.2)
    for q in (1e-6, 1.0, 1e6):
        assert chi(RELU, q, weight_variance=2.0) == pytest.approx(1.0, rel=1e-6)
        assert length_map(RELU, q, weight_variance=1.0, bias_variance=0.5) == pytest.approx(q / 2 + 0.5, rel=1e-6)


@pytest.mark.parametrize("slope", [0.01, 0.2])
def test_leaky_relu_has_its_closed_form(slope):
    phi = phi_of(nn.LeakyReLU(slope))
    assert chi(phi, 1.0, weight_variance=1.5) == pytest.approx(1.5 * (1 + slope**2) / 2, rel=1e-6)


def test_tanh_at_weight_variance_1_falls_by_a_power_law():
    assert fixed_point(TANH, weight_variance=1.0, bias_variance=0.0) == 0
    assert chi(TANH, 0.001, weight_variance=1.0) == pytest.approx(1 - 2 * 0.001, abs=1e-5)


def test_the_critical_line():
    assert critical_weight_variance(TANH, bias_variance=0.05) == pytest.approx(1.76095, rel=1e-5)
    assert critical_weight_variance(TANH, bias_variance=0.0) == pytest.approx(1.0, rel=1e-6)
    assert critical_weight_variance(RELU, bias_variance=0.0) == pytest.approx(2.0, rel=1e-6)
    assert isnan(critical_weight_variance(RELU, bias_variance=0.1))
    assert critical_weight_variance(IDENTITY, bias_variance=0.0) == pytest.approx(1.0, rel=1e-6)
    weight, bias = critical_point(phi_of(nn.GELU()), 2.0)
    assert length_map(phi_of(nn.GELU()), 2.0, weight_variance=weight, bias_variance=bias) == pytest.approx(2.0)


def test_depth_scale_and_decades():
    assert depth_scale(exp(-0.1)) == pytest.approx(10.0)
    assert depth_scale(exp(0.1)) == pytest.approx(10.0)
    assert depth_scale(1.0) == inf
    assert depth_scale(0.0) == 0.0
    assert decades(log(100.0)) == pytest.approx(1.0)


def test_the_tolerance_is_what_a_random_walk_of_layers_scatters():
    assert slope_kurtosis(IDENTITY, 1.0) == pytest.approx(2.0)
    assert slope_kurtosis(RELU, 1.0) == pytest.approx(5.0, rel=1e-5)
    assert tolerance(5.0, width=256, depth=100) == pytest.approx(5 / 512 + 4 * sqrt(5 / 25600))
    assert tolerance(5.0, width=256, depth=100, seeds=4) < tolerance(5.0, width=256, depth=100)


def test_quadrature_against_closed_forms():
    assert mean(np.abs, 4.0) == pytest.approx(2 * sqrt(2 / pi), rel=1e-6)
    assert mean(lambda z: z, 9.0, power=4) == pytest.approx(3 * 81, rel=1e-9)
    assert mean(phi_of(nn.Hardtanh()).slope, 1.0, power=2) == pytest.approx(0.6826894921, abs=2e-4)


def test_gates_decay():
    assert gate_decay(0.0, 10) == pytest.approx(2.0**-10)
    assert gate_decay(2.0, 3) == pytest.approx((1 / (1 + exp(-2))) ** 3)
