"""Norms against exact arithmetic, where the squares of the numbers underflow or overflow."""

import warnings
from fractions import Fraction
from math import inf, isqrt, nan

import pytest
import torch

from gradlab.norms import CHUNK, host_norm, norm, quiet, row_norms, total_norm

KINDS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# A float32 square is exact down to 2^-149, 1.4e-45, keeps its digits down to 2^-126, 1.2e-38, and ends at 3.4e38.
EDGES = [1.4e-45, 2e-38, 3.7e-23, 3.8e-23, 1.08e-19, 1.09e-19, 1.8e19, 1.9e19, 3.4e38]


def measured(x):
    """Return the norm of a tensor by each of the four functions."""
    with quiet():
        return {
            "host_norm": host_norm(x),
            "norm": float(norm(x)),
            "row_norms": float(row_norms(x.reshape(1, -1))),
            "total_norm": float(total_norm([x])),
        }


def exact(x):
    """Return the norm by integer arithmetic, rounded once."""
    square = sum(Fraction(value) ** 2 for value in x.double().flatten().tolist())
    scale = 10**800  # 400 digits after the decimal point
    return float(Fraction(isqrt(square.numerator * scale // square.denominator), 10**400))


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tolerance(x, name):
    """Return the relative tolerance: float32 sums are less accurate than float64 ones."""
    return 1e-6 if x.dtype is torch.float32 and name in ("host_norm", "total_norm") else 1e-13


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_three_and_four_make_five(kind):
    assert set(measured(torch.tensor([[3.0, 0.0], [-4.0, 0.0]], dtype=kind)).values()) == {5.0}


@pytest.mark.parametrize("decade", range(-44, 38))
def test_every_decade_of_float32(decade):
    x = (drawn(50) * 10.0**decade).float().clamp(-3e38, 3e38)
    for name, result in measured(x).items():
        assert result == pytest.approx(exact(x), rel=tolerance(x, name), abs=0), name


@pytest.mark.parametrize("size", EDGES)
def test_just_above_and_below_the_limits_of_float32_squares(size):
    x = torch.full((37,), size, dtype=torch.float32)
    for name, result in measured(x).items():
        assert result == pytest.approx(exact(x), rel=tolerance(x, name), abs=0), name


@pytest.mark.parametrize("decade", [-323, -310, -200, -160, -30, 0, 30, 150, 160, 300])
def test_float64_keeps_all_its_digits_to_both_ends_of_its_range(decade):
    x = drawn(50) * 10.0**decade
    for name, result in measured(x).items():
        # a norm below 1e-308 is itself a denormal number, with as few digits as those it is made of
        assert result == pytest.approx(exact(x), rel=1e-13, abs=5e-324), name


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_smallest_and_the_largest_number_of_each_type(kind):
    smallest = torch.finfo(kind).smallest_normal * torch.finfo(kind).eps  # the smallest denormal
    for size in (smallest, torch.finfo(kind).max / 8):
        x = torch.full((16,), size, dtype=kind)
        assert float(x[0]) == size
        assert measured(x) == pytest.approx(dict.fromkeys(measured(x), 4 * size), rel=1e-6, abs=0)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4, 5), (CHUNK + 3,)])
def test_the_norm_is_zero_only_if_all_entries_are(kind, shape):
    x = torch.zeros(shape, dtype=kind)
    assert set(measured(x).values()) == {0.0}
    x.view(-1)[-1] = -torch.finfo(kind).smallest_normal * torch.finfo(kind).eps
    assert min(measured(x).values()) > 0


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(
    ("entries", "expected"),
    [([1.0, inf], inf), ([-inf, 0.0], inf), ([inf, -inf], inf), ([nan, 1.0], nan), ([inf, nan], nan), ([nan] * 2, nan)],
)
def test_inf_gives_inf_and_nan_gives_nan(kind, entries, expected):
    result = measured(torch.tensor(entries, dtype=kind))
    assert result == pytest.approx(dict.fromkeys(result, expected), nan_ok=True)


def test_empty_tensors_have_the_norm_0():
    empty = torch.zeros(0, 3)
    assert (host_norm(empty), float(norm(empty)), float(total_norm([empty])), float(total_norm([]))) == (0, 0, 0, 0)


def test_sums_longer_than_a_chunk_keep_their_digits():
    """2^24 + 1 ones: a float32 sum of them stops at 2^24."""
    for count in (CHUNK - 1, CHUNK, CHUNK + 1, (1 << 24) + 1):
        assert host_norm(torch.ones(count)) == pytest.approx(count**0.5, rel=1e-12)


def test_small_entries_beside_a_large_one_are_lost_to_rounding_at_most():
    """The worst case of a float32 sum: each small square is rounded as it is added to the large one."""
    x = torch.full((CHUNK * 4,), 1e-3)
    x[0] = 1.0
    true = (1 + (CHUNK * 4 - 1) * float(x[1]) ** 2) ** 0.5
    assert host_norm(x) == pytest.approx(true, rel=CHUNK * 2.0**-24)
    assert float(norm(x)) == pytest.approx(true, rel=1e-11)


def test_any_layout_of_the_memory_gives_the_same_norm():
    x = drawn(4, 6, 5, 7).float()
    layouts = (x, x.to(memory_format=torch.channels_last), x.transpose(0, 3), x[::2, :, 1:])
    for layout in layouts:
        assert host_norm(layout) == pytest.approx(exact(layout), rel=1e-6)
        assert float(norm(layout)) == pytest.approx(exact(layout), rel=1e-13)


def test_row_norms_equal_the_norms_of_single_rows():
    x = torch.stack([drawn(3, 4) * size for size in (1e-200, 0.0, 1.0, inf, nan)])
    result = row_norms(x)
    assert result.shape == (5, 1, 1)
    assert result.dtype is torch.float64
    expected = [exact(x[0]), 0.0, exact(x[2]), nan, nan]
    x[3] = inf
    expected[3] = inf
    assert row_norms(x).flatten().tolist() == pytest.approx(expected, rel=1e-13, abs=0, nan_ok=True)


def test_total_norm_takes_tensors_of_any_type_and_size():
    parts = [drawn(3, 4).float(), drawn(5, seed=1) * 1e-3, drawn(2, seed=2).half(), torch.zeros(0), torch.zeros(2)]
    entries = torch.cat([part.double().flatten() for part in parts])
    assert float(total_norm(parts)) == pytest.approx(exact(entries), rel=1e-6)
    sizes = [torch.full((4,), 3e38), torch.full((4,), 1e-45)]
    assert float(total_norm(sizes)) == pytest.approx(2 * float(sizes[0][0]), rel=1e-6)


def test_norms_of_tensors_that_require_grad_have_no_graph():
    x = drawn(3).requires_grad_()
    assert not norm(x).requires_grad
    assert not row_norms(x.view(3, 1)).requires_grad
    assert float(total_norm([x])) == pytest.approx(exact(x.detach()), rel=1e-13)


def test_quiet_suppresses_the_warning_of_an_overflow():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with quiet():
            assert host_norm(torch.full((4,), 1e30)) == pytest.approx(2e30, rel=1e-6)
