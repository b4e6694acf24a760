"""What holds for the norm of any numbers."""

from math import hypot

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import tensors

from gradlab.norms import host_norm, norm, quiet, row_norms, total_norm

FLOAT32, FLOAT64 = tensors(), tensors(kind=np.float64)
DENORMAL = 5e-324  # below the smallest normal number a norm has no more digits than this


def norms(x):
    """Each function with the relative error that it may have."""
    with quiet():
        found = [(host_norm(x), 1e-6), (float(norm(x)), 1e-14), (float(total_norm([x])), 1e-6)]
    return [(value, rounding if x.dtype is torch.float32 else 1e-14) for value, rounding in found]


@given(st.one_of(FLOAT32, FLOAT64))
def test_it_lies_between_the_largest_entry_and_root_n_times_that(x):
    largest = float(x.double().abs().max())
    for found, rounding in norms(x):
        assert largest * (1 - rounding) <= found
        assert found <= largest * x.numel() ** 0.5 * (1 + 2 * rounding) + x.numel() * DENORMAL


@given(st.one_of(FLOAT32, FLOAT64))
def test_it_is_zero_just_where_every_entry_is(x):
    assert all((found > 0) is bool((x != 0).any()) for found, _ in norms(x))


@given(tensors(kind=np.float64, largest=2.0**100), st.integers(-800, 800))
def test_a_power_of_two_comes_out_of_it_to_the_last_bit(x, power):
    x = torch.where(x.abs() < 2.0**-100, 0.0, x)  # so that no entry leaves the range of float64
    assert float(norm(x * 2.0**power)) == float(norm(x)) * 2.0**power


@given(tensors(largest=2.0**20), st.integers(-60, 60))
def test_a_power_of_two_comes_out_of_float32_norms_but_for_rounding(x, power):
    x = torch.where(x.abs() < 2.0**-20, 0.0, x)
    with quiet():
        assert host_norm(x * 2.0**power) == pytest.approx(host_norm(x) * 2.0**power, rel=1e-6, abs=0)


@given(st.one_of(FLOAT32, FLOAT64), st.randoms(use_true_random=False))
def test_order_signs_and_shape_do_not_matter(x, random):
    order = list(range(x.numel()))
    random.shuffle(order)
    signs = torch.tensor([random.choice((-1, 1)) for _ in order], dtype=x.dtype)
    other = x.flatten()[order] * signs
    for (found, rounding), (again, _) in zip(norms(x), norms(other), strict=True):
        assert again == pytest.approx(found, rel=2 * rounding, abs=2 * DENORMAL)


@given(tensors(kind=np.float64, largest=1e150), tensors(kind=np.float64, largest=1e150))
def test_parts_have_the_norm_of_the_whole(x, y):
    whole = float(norm(torch.cat([x.flatten(), y.flatten()])))
    assert float(total_norm([x, y])) == pytest.approx(whole, rel=1e-14, abs=2 * DENORMAL)
    assert hypot(float(norm(x)), float(norm(y))) == pytest.approx(whole, rel=1e-14, abs=2 * DENORMAL)


@given(tensors(kind=np.float64, shape=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))))
def test_a_row_has_the_norm_that_it_has_alone(x):
    alone = [float(norm(row)) for row in x]
    assert row_norms(x).flatten().tolist() == pytest.approx(alone, rel=1e-14, abs=2 * DENORMAL)


@given(st.one_of(FLOAT32, FLOAT64), st.sampled_from([float("nan"), float("inf"), float("-inf")]), st.integers(0))
def test_one_broken_entry_is_seen(x, bad, place):
    x.view(-1)[place % x.numel()] = bad
    assert all(found == pytest.approx(abs(bad), nan_ok=True) for found, _ in norms(x))
