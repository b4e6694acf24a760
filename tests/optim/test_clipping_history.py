import io

import numpy as np
import pytest
import torch
from torch.nn import Parameter

from gradlab.norms import total_norm
from gradlab.optim.clipping_history import AutoClip, ZClip


def clipped(rule, norms, dtype=torch.float64):
    """Feed gradients of these norms to a rule, one a step, and return the norms that it lets through."""
    after = []
    for norm in norms:
        parameter = Parameter(torch.zeros(2, dtype=dtype))
        parameter.grad = torch.tensor([0.6 * norm, -0.8 * norm], dtype=dtype)
        rule([("weight", parameter)])
        after.append(float(total_norm([parameter.grad])))
    return after


def zclip_by_hand(norms, *, alpha, threshold, warmup_steps):
    """The authors' update in plain numbers (Kumar et al. 2025, algorithm 1)."""
    start = np.array(norms[:warmup_steps])
    mean, variance, after = start.mean(), start.var(), list(norms[:warmup_steps])
    for norm in norms[warmup_steps:]:
        z = (norm - mean) / variance**0.5
        kept = mean + threshold * variance**0.5 / (z / threshold) if z > threshold else norm
        mean = alpha * mean + (1 - alpha) * kept
        variance = alpha * variance + (1 - alpha) * (kept - mean) ** 2
        after.append(kept)
    return after


def test_autoclip_on_the_norms_one_to_ten():
    """Seetharaman et al. 2020: the tenth percentile of a history that includes the current norm."""
    assert clipped(AutoClip(percentile=10.0), range(1, 11)) == pytest.approx([1 + 0.1 * t for t in range(10)])


@pytest.mark.parametrize("size", [1e-38, 1e-12, 1e30])
def test_autoclip_at_any_size(size):
    generator = np.random.default_rng(0)
    norms = size * generator.lognormal(size=30)
    expected = [min(norm, np.percentile(norms[: t + 1], 25)) for t, norm in enumerate(norms)]
    assert clipped(AutoClip(percentile=25.0), norms, torch.float32) == pytest.approx(expected, rel=1e-5, abs=0)


def test_autoclip_forgets_a_norm_that_is_not_finite():
    assert clipped(AutoClip(percentile=50.0), [1.0, float("inf"), 3.0]) == pytest.approx([1, float("inf"), 2])


@pytest.mark.parametrize("size", [1e-20, 1.0, 1e30])
def test_zclip_agrees_with_its_algorithm(size):
    generator = np.random.default_rng(0)
    norms = size * (1 + 0.1 * generator.normal(size=200))
    norms[[40, 41, 120]] *= [10, 3, 1e6]
    expected = zclip_by_hand(norms, alpha=0.97, threshold=2.5, warmup_steps=25)
    assert expected[40] < norms[40]
    assert clipped(ZClip(alpha=0.97, z_threshold=2.5, warmup_steps=25), norms) == pytest.approx(
        expected, rel=1e-12, abs=0
    )


def test_zclip_on_constant_norms_clips_a_spike_to_their_mean():
    assert clipped(ZClip(alpha=0.97, z_threshold=2.5, warmup_steps=5), [2.0] * 9 + [7.0]) == pytest.approx([2.0] * 10)


def test_zclip_forgets_a_norm_that_is_not_finite():
    norms = [1.0, 2.0, float("nan"), 1.5, float("inf"), 40.0]
    after = clipped(ZClip(alpha=0.9, z_threshold=2.5, warmup_steps=3), norms)
    assert np.isnan(after[2])
    assert np.isinf(after[4])
    finite = [1.0, 2.0, 1.5, 40.0]
    assert after[-1] == pytest.approx(zclip_by_hand(finite, alpha=0.9, threshold=2.5, warmup_steps=2)[-1])


@pytest.mark.parametrize("stop", [3, 10, 30])
@pytest.mark.parametrize(
    "make", [lambda: AutoClip(percentile=10.0), lambda: ZClip(alpha=0.9, z_threshold=2.0, warmup_steps=10)]
)
def test_state_goes_through_a_checkpoint(make, stop):
    norms = np.random.default_rng(1).lognormal(size=50)
    whole, first = clipped(make(), norms), make()
    begun = clipped(first, norms[:stop])
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = make()
    second.load_state_dict(torch.load(file, weights_only=True))
    assert begun + clipped(second, norms[stop:]) == whole
