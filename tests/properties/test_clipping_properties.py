"""What holds for the clipping of any gradients."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import tensors
from torch.nn import Parameter

from gradlab.norms import total_norm
from gradlab.optim import clipping

GRADIENTS = st.lists(tensors(), min_size=1, max_size=4)
THRESHOLDS = st.floats(1e-2, 1e6)
ROUNDING = 1e-6  # of float32, with a few operations
DENORMAL = 1.5e-45  # to which a float32 below 1e-38 is rounded
SHRINKING = {
    "norm": lambda limit: partial(clipping.clip_norm, max_norm=limit),
    "per_layer": lambda limit: partial(clipping.clip_per_layer, max_norm=limit),
    "value": lambda limit: partial(clipping.clip_value, max_value=limit),
    "adaptive": lambda limit: partial(clipping.clip_adaptive, clip=limit, eps=1e-3),
}
each_rule = pytest.mark.parametrize("name", SHRINKING)


def named(gradients):
    """Parameters of ones with these gradients, each of a layer of its own, and a head that AGC leaves alone."""
    pairs = [(f"layer{i}.weight", Parameter(torch.ones_like(g))) for i, g in enumerate(gradients)]
    for (_, parameter), gradient in zip(pairs, gradients, strict=True):
        parameter.grad = gradient.clone()
    return [*pairs, ("head.weight", Parameter(torch.ones(1)))]


def clipped(rule, gradients):
    """The gradients that a rule leaves."""
    pairs = named(gradients)
    rule(pairs)
    return [parameter.grad for _, parameter in pairs[:-1]]


def close(found, expected, *, rel=ROUNDING):
    """Whether gradients are equal but for rounding."""
    return all(
        torch.allclose(one.double(), other.double(), rtol=rel, atol=4 * DENORMAL)
        for one, other in zip(found, expected, strict=True)
    )


@each_rule
@given(GRADIENTS, THRESHOLDS)
def test_no_entry_grows_or_changes_its_sign(name, gradients, limit):
    for before, after in zip(gradients, clipped(SHRINKING[name](limit), gradients), strict=True):
        assert (after.abs() <= before.abs()).all()
        assert (after * before.sign() >= 0).all()


@each_rule
@given(GRADIENTS, THRESHOLDS)
def test_clipping_twice_is_clipping_once(name, gradients, limit):
    rule = SHRINKING[name](limit)
    once = clipped(rule, gradients)
    # clip_norm divides by the norm + 1e-6, as torch does: what it has clipped is a little below the limit, or above it
    assert close(clipped(rule, once), once, rel=ROUNDING * (1 + 1 / limit))


@given(GRADIENTS, st.floats(1e-30, 1e30))
def test_the_norm_is_at_most_the_threshold(gradients, limit):
    entries = sum(gradient.numel() for gradient in gradients)
    most = limit * (1 + ROUNDING) + entries * DENORMAL
    assert float(total_norm(clipped(SHRINKING["norm"](limit), gradients))) <= most
    for gradient in clipped(SHRINKING["per_layer"](limit), gradients):
        assert float(total_norm([gradient])) <= most
    for gradient in clipped(SHRINKING["value"](limit), gradients):
        assert float(gradient.abs().max()) <= most


@given(GRADIENTS, st.floats(1e-30, 1e30))
def test_the_direction_is_kept(gradients, limit):
    """All entries are multiplied by one factor, to the threshold over the norm where that is less than 1."""
    norm = float(total_norm(gradients))
    factor = min(1.0, limit / (norm + 1e-6))
    expected = [gradient.double() * factor for gradient in gradients]
    assert close(clipped(SHRINKING["norm"](limit), gradients), expected)
    alone = [gradient.double() * min(1.0, limit / max(float(total_norm([gradient])), 1e-300)) for gradient in gradients]
    assert close(clipped(SHRINKING["per_layer"](limit), gradients), alone)


@given(GRADIENTS)
def test_a_normalized_gradient_has_the_norm_1(gradients):
    after = clipped(clipping.normalize, gradients)
    norm = float(total_norm(gradients))
    assert float(total_norm(after)) == pytest.approx(1.0 if norm else 0.0, rel=ROUNDING)
    if norm:
        assert close(after, [gradient.double() / norm for gradient in gradients])


@pytest.mark.parametrize("name", ["norm", "per_layer", "value"])
@given(GRADIENTS, THRESHOLDS)
def test_the_order_of_the_parameters_does_not_matter(name, gradients, limit):
    rule = SHRINKING[name](limit)
    assert close(clipped(rule, gradients[::-1])[::-1], clipped(rule, gradients))


@pytest.mark.parametrize("name", ["norm", "per_layer", "adaptive"])
@given(GRADIENTS, THRESHOLDS, st.sampled_from([float("nan"), float("inf"), float("-inf")]))
def test_a_broken_gradient_is_left_to_be_seen(name, gradients, limit, bad):
    gradients[0].view(-1)[0] = bad
    after = clipped(SHRINKING[name](limit), gradients)
    assert not torch.isfinite(after[0].view(-1)[0])
    assert all(torch.isfinite(gradient).all() for gradient in after[1:])
