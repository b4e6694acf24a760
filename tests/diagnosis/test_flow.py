from math import inf, isnan, log10, nan

import numpy as np
import pytest
from scipy import stats

from gradlab.diagnosis.flow import Thresholds, diagnose_flow, measure_flow

THRESHOLDS = Thresholds(vanishing_ratio=0.01, exploding_ratio=100.0)


def falling(factor, layers=50):
    """Norms that a layer multiplies by ``factor`` on the way back."""
    return list(range(1, layers + 1)), [factor ** (layers - d) for d in range(1, layers + 1)]


@pytest.mark.parametrize(
    ("factor", "name"),
    [(0.236, "vanishing"), (1.0, "healthy"), (0.95, "healthy"), (0.9, "vanishing"), (1.21, "exploding")],
)
def test_verdicts(factor, name):
    verdict = diagnose_flow(*falling(factor), THRESHOLDS)
    assert verdict.name == name
    assert f"(x {factor:.3g} per layer)" in verdict.sentence


def test_the_sentence_names_layers_and_ratio():
    sentence = diagnose_flow(*falling(0.236), THRESHOLDS).sentence
    assert sentence == "gradients vanish: layer 1 receives 1.9e-31 of layer 50's gradient (x 0.236 per layer)"


def test_slope_is_positive_where_gradients_shrink_on_the_way_back():
    flow = measure_flow(*falling(0.1, layers=4))
    assert flow.decades_per_layer == pytest.approx(1.0)
    assert flow.ratio == pytest.approx(1e-3)
    assert flow.low == pytest.approx(1.0)
    assert flow.high == pytest.approx(1.0)


def test_the_interval_of_few_layers_has_the_exact_quantile():
    steps = [0.1, -0.2, 0.4]
    flow = measure_flow([1, 2, 3, 4], [10.0 ** sum(steps[:count]) for count in range(4)])
    half = stats.t.ppf(0.975, df=2) * np.std(steps, ddof=1) * np.sqrt(1.2 / 3)
    assert flow.high - flow.low == pytest.approx(2 * half)


def test_the_interval_covers_the_truth_of_a_random_walk():
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        walk = np.cumsum(random.normal(0.02, 0.1, 30))
        flow = measure_flow(list(range(30)), list(10.0**walk))
        covered += flow.low <= 0.02 <= flow.high
    assert 0.92 < covered / 1000 < 0.98


def test_the_interval_has_six_fifths_of_the_variance_of_the_mean_step():
    """Steps of 0.1 +- 0.05: the least-squares slope weighs step k of n by k (n + 1 - k) / 2 over the sum of squares."""
    n = 100_000
    k = np.arange(1, n + 1, dtype=float)
    weights = k * (n + 1 - k) / 2 / ((n + 1) * ((n + 1) ** 2 - 1) / 12)
    assert weights.sum() == pytest.approx(1)
    assert n * (weights**2).sum() == pytest.approx(1.2, rel=1e-4)

    steps = np.where(np.arange(30) % 2, 0.05, 0.15)
    flow = measure_flow(list(range(31)), list(10.0 ** np.append(0.0, np.cumsum(steps))))
    deviation = 0.05 * (30 / 29) ** 0.5  # of the sample: 30 squares of 0.05 over 29
    half = stats.t.ppf(0.975, 29) * deviation * (1.2 / 30) ** 0.5
    assert flow.high - flow.decades_per_layer == pytest.approx(half, rel=1e-4)
    assert flow.decades_per_layer - flow.low == pytest.approx(half, rel=1e-4)


@pytest.mark.parametrize("bad", [nan, inf])
def test_not_finite_is_never_called_vanishing(bad):
    assert diagnose_flow([1, 2, 3], [bad] * 3, THRESHOLDS).name == "not_finite"
    verdict = diagnose_flow([1, 2, 3], [1e-9, bad, 1.0], THRESHOLDS)
    assert (verdict.name, "layer 2" in verdict.sentence) == ("not_finite", True)


def test_exact_zeros():
    underflow = diagnose_flow([1, 2, 3], [0.0, 1e-38, 1.0], THRESHOLDS)
    assert underflow.name == "vanishing"
    assert "train.dtype=float64" in underflow.sentence
    assert "nothing gets through" in diagnose_flow([1, 2, 3], [0.0, 0.5, 1.0], THRESHOLDS).sentence
    assert diagnose_flow([1, 2], [0.0, 0.0], THRESHOLDS).name == "zero"


@pytest.mark.parametrize(("entries", "underflow"), [(1.0, True), (0.9e8, True), (1.1e8, False), (1e12, False)])
@pytest.mark.parametrize(("smallest", "name"), [(2.0**-126, "float32"), (2.0**-1022, "float64")])
def test_zeros_mean_underflow_where_a_neighbour_may_consist_of_the_smallest_numbers(entries, underflow, smallest, name):
    """A norm of 1e4 times the smallest normal number is that of 1e8 such entries: the largest layers there are."""
    verdict = diagnose_flow([1, 2, 3], [0.0, entries**0.5 * smallest, 1.0], THRESHOLDS, smallest=smallest)
    assert (f"{name} underflow" in verdict.sentence) is underflow
    assert ("nothing gets through" in verdict.sentence) is not underflow


def test_too_shallow_to_compare():
    assert diagnose_flow([1], [1.0], THRESHOLDS).name == "shallow"
    assert isnan(measure_flow([], []).ratio)
    two = measure_flow([1, 2], [1.0, 10.0])
    assert two.decades_per_layer == pytest.approx(log10(10))
    assert isnan(two.low)


@pytest.mark.parametrize(("low", "high"), [(0.0, 70.0), (1.5, 70.0), (1e-3, 0.5)])
def test_thresholds_must_make_sense(low, high):
    with pytest.raises(ValueError, match="must"):
        Thresholds(vanishing_ratio=low, exploding_ratio=high)
