from functools import partial

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch.nn import Parameter

from gradlab.norms import total_norm
from gradlab.optim import clipping


def with_gradients(*gradients, dtype=torch.float32):
    pairs = []
    for index, gradient in enumerate(gradients):
        grad = torch.as_tensor(gradient, dtype=dtype)
        parameter = Parameter(torch.zeros_like(grad))
        parameter.grad = grad
        pairs.append((f"p{index}", parameter))
    return pairs


def norm_of(pairs):
    return float(total_norm([parameter.grad for _, parameter in pairs]))


def test_none_changes_nothing():
    pairs = with_gradients([3.0, float("nan"), 1e30])
    before = pairs[0][1].grad.clone()
    clipping.none(pairs)
    torch.testing.assert_close(pairs[0][1].grad, before, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_norm_of_five_becomes_one(dtype):
    pairs = with_gradients([3.0, 0.0, 0.0], [0.0, 4.0, 0.0, 0.0], dtype=dtype)
    assert norm_of(pairs) == 5
    clipping.clip_norm(pairs, max_norm=1.0)
    assert norm_of(pairs) == pytest.approx(0.9999998, abs=5e-8)
    assert pairs[0][1].grad[0] / pairs[1][1].grad[1] == pytest.approx(0.75, rel=1e-6)


@pytest.mark.parametrize("max_norm", [0.7, 1e-3, 1e-9])
def test_norm_agrees_with_torch_at_ordinary_sizes(max_norm):
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(20, 30, generator=generator), torch.randn(30, generator=generator)]
    ours, theirs = with_gradients(*(g.clone() for g in gradients)), with_gradients(*(g.clone() for g in gradients))
    clipping.clip_norm(ours, max_norm=max_norm)
    torch.nn.utils.clip_grad_norm_([parameter for _, parameter in theirs], max_norm)
    for (_, mine), (_, other) in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=2e-7, atol=0)


@pytest.mark.parametrize("size", [1e19, 1e30, 3e38])
def test_gradients_whose_squares_overflow_are_clipped_and_not_zeroed(size):
    pairs = with_gradients([size] * 100, [-size] * 300)
    clipping.clip_norm(pairs, max_norm=1.0)
    assert norm_of(pairs) == pytest.approx(1, rel=1e-6)


def test_a_factor_below_the_smallest_float32_is_applied_in_full():
    pairs = with_gradients([3e38] * 4)
    clipping.clip_norm(pairs, max_norm=1e-7)
    assert norm_of(pairs) == pytest.approx(1e-7, rel=1e-6)


@pytest.mark.parametrize("size", [1e-45, 1e-30, 0.0, 0.1])
def test_gradients_below_the_threshold_stay_bit_for_bit(size):
    pairs = with_gradients([size] * 7, [-size])
    before = [parameter.grad.clone() for _, parameter in pairs]
    clipping.clip_norm(pairs, max_norm=1.0)
    assert all(torch.equal(parameter.grad, old) for (_, parameter), old in zip(pairs, before, strict=True))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_norm_leaves_gradients_that_are_not_finite_to_be_seen(bad):
    pairs = with_gradients([7.0, bad], [9.0])
    clipping.clip_norm(pairs, max_norm=1.0)
    torch.testing.assert_close(pairs[0][1].grad, torch.tensor([7.0, bad]), equal_nan=True)
    assert pairs[1][1].grad.item() == 9.0


def test_value_cuts_entries_and_keeps_nan():
    pairs = with_gradients([0.2, -3.0, 1e30, float("inf"), float("nan")])
    clipping.clip_value(pairs, max_value=0.5)
    expected = torch.tensor([0.2, -0.5, 0.5, 0.5, float("nan")])
    torch.testing.assert_close(pairs[0][1].grad, expected, equal_nan=True)


RULES = [
    clipping.none,
    partial(clipping.clip_norm, max_norm=1.0),
    partial(clipping.clip_value, max_value=0.5),
]


@pytest.mark.parametrize("rule", RULES)
def test_parameters_without_gradients_are_passed_over(rule):
    frozen = Parameter(torch.ones(3), requires_grad=False)
    rule([("frozen", frozen), *with_gradients([3.0])])
    rule([("frozen", frozen)])
    rule([])
    assert frozen.grad is None


@pytest.mark.parametrize(("rule", "key"), [(clipping.clip_norm, "max_norm"), (clipping.clip_value, "max_value")])
@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan")])
def test_thresholds_that_are_not_positive_do_not_fit_the_annotation(rule, key, threshold):
    adapter = TypeAdapter(rule.__annotations__[key])
    assert adapter.validate_python(1e-9) == 1e-9
    with pytest.raises(ValidationError, match="greater than 0"):
        adapter.validate_python(threshold)


@pytest.mark.cuda
def test_norm_on_cuda_clips_without_waiting_for_the_device():
    pairs = [(name, Parameter(parameter.detach().cuda())) for name, parameter in with_gradients([3e38] * 50, [1.0])]
    for _, parameter in pairs:
        parameter.grad = torch.full_like(parameter, 3e38)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        clipping.clip_norm(pairs, max_norm=1.0)
        clipping.clip_value(pairs, max_value=0.5)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert norm_of(pairs) == pytest.approx(1, rel=1e-6)
