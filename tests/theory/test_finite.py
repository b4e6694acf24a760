"""Means over normalized vectors against closed forms and random draws, and the growth of linear nets."""

from math import acos, log, pi, sqrt

import numpy as np
import pytest
from tests.support.theory import RELU, SIGMOID, TANH, phi_of
from torch import nn

from gradlab.theory.finite import batch_rate, feature_rate, normalized, pair

LINEAR = phi_of(nn.Identity())


@pytest.mark.parametrize("numbers", [6, 8, 33, 1000])
def test_a_linear_layer_over_m_numbers_grows_by_m_minus_2_over_m_minus_3(numbers):
    """Yang et al. 2019 for batch norm; the same for features that are normalized together."""
    means, both = normalized(LINEAR, numbers, centred=True), pair(LINEAR, numbers)
    expected = (numbers - 2) / (numbers - 3)
    for features in (numbers, 4 * numbers):  # one group or four
        settings = {"numbers": numbers, "features": features, "centred": True, "orthogonal": False, "plain": True}
        assert feature_rate(means, **settings) == pytest.approx(expected, rel=1e-5)
    varying = float(means.moments.square) - both.value
    assert batch_rate(means, both, samples=numbers, unequal=0.0) / varying == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("numbers", [6, 64])
def test_rms_norm_and_orthogonal_weights(numbers):
    means = normalized(LINEAR, numbers, centred=False)
    settings = {"numbers": numbers, "features": numbers, "plain": True}
    random = feature_rate(means, centred=False, orthogonal=False, **settings)
    assert random == pytest.approx((numbers - 1) / (numbers - 2), rel=1e-5)
    assert feature_rate(means, centred=False, orthogonal=True, **settings) == pytest.approx(1.0, rel=1e-5)
    centred = feature_rate(normalized(LINEAR, numbers, centred=True), centred=True, orthogonal=True, **settings)
    assert centred == pytest.approx((numbers - 2) ** 2 / ((numbers - 1) * (numbers - 3)), rel=1e-5)


@pytest.mark.parametrize("numbers", [6, 9, 200])
def test_relu_over_two_samples_is_the_arc_cosine_kernel(numbers):
    """Cho & Saul 2009; relu is homogeneous, so a sphere has the Gaussian's second moments."""
    correlation = -1 / (numbers - 1)
    angle = pi - acos(correlation)
    both = pair(RELU, numbers)
    value = (sqrt(1 - correlation**2) + correlation * angle) / (2 * pi)
    assert both.value == pytest.approx(value, rel=1e-6)
    assert both.slope == pytest.approx(angle / (2 * pi), rel=1e-6)
    assert both.slope_z == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("phi", [TANH, SIGMOID], ids=["tanh", "sigmoid"])
@pytest.mark.parametrize("numbers", [6, 12])
def test_the_means_are_those_of_random_vectors(phi, numbers):
    draws = np.random.default_rng(0).standard_normal((200_000, numbers))
    draws -= draws.mean(1, keepdims=True)
    y = sqrt(0.9) * draws / draws.std(1, keepdims=True)
    value, slope = phi.value(y), phi.slope(y)
    unit = y / sqrt(0.9)
    means, both = normalized(phi, numbers, centred=True, variance=0.9), pair(phi, numbers, variance=0.9)
    expected = [value, value**2, slope, slope**2, slope**4, slope**2 * unit**2]
    fields = ("mean", "square", "slope", "slope_square", "slope_fourth", "slope_square_z")
    for name, draw in zip(fields, expected, strict=True):
        assert float(getattr(means.moments, name)) == pytest.approx(draw.mean(), abs=2e-3), name
    assert means.value_slope == pytest.approx((value * slope).mean(), abs=2e-3)
    assert means.value_slope_z == pytest.approx((value * slope * unit).mean(), abs=2e-3)
    assert means.value_square_slope_square == pytest.approx(((value * slope) ** 2).mean(), abs=2e-3)
    assert both.value == pytest.approx((value[:, 0] * value[:, 1]).mean(), abs=2e-3)
    assert both.slope == pytest.approx((slope[:, 0] * slope[:, 1]).mean(), abs=2e-3)
    assert both.slope_z == pytest.approx((unit[:, 0] * unit[:, 1] * slope[:, 0] * slope[:, 1]).mean(), abs=2e-3)


def test_large_numbers_have_the_gaussian_limit():
    means, gaussian = normalized(TANH, 100_000, centred=True), TANH.moments(1.0)
    assert float(means.moments.slope_square) == pytest.approx(float(gaussian.slope_square), rel=1e-4)
    growth = log(feature_rate(means, numbers=10**5, features=10**5, centred=True, orthogonal=False, plain=True))
    assert growth == pytest.approx(0, abs=1e-4)
