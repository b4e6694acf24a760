from functools import partial

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch.nn import Parameter

from gradlab.norms import total_norm
from gradlab.optim import clipping
from gradlab.optim.clipping_history import AutoClip, ZClip


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


def test_per_layer_clips_each_tensor_by_itself():
    pairs = with_gradients([3e30, 4e30], [0.3, 0.4], [0.0])
    clipping.clip_per_layer(pairs, max_norm=1.0)
    assert [norm_of([pair]) for pair in pairs] == pytest.approx([1, 0.5, 0], rel=1e-6)
    assert pairs[0][1].grad[0] / pairs[0][1].grad[1] == pytest.approx(0.75, rel=1e-6)
    assert torch.equal(pairs[1][1].grad, torch.tensor([0.3, 0.4]))


def small_net():
    """Two hidden layers and a head, named as a model names them, with weights whose rows differ in length."""
    net = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Conv2d(3, 4, 2), torch.nn.Linear(7, 2))
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
        parameter.grad = 100 * torch.randn(parameter.shape, generator=generator)
    return net


@pytest.mark.parametrize("factor", [1.0, 1e30])
def test_adaptive_brings_every_unit_to_its_ratio(factor):
    """Brock et al. 2021, eq. 3, unit by unit; a bias is one unit; the last layer is free."""
    net = small_net()
    for parameter in net.parameters():
        parameter.grad.mul_(factor)
    before = [parameter.grad.clone() for parameter in net.parameters()]
    clipping.clip_adaptive(list(net.named_parameters()), clip=0.01, eps=1e-3)
    for layer in (net[0], net[1]):
        for unit, gradient in zip(layer.weight, layer.weight.grad, strict=True):
            assert norm_of(with_gradients(gradient)) / unit.norm().item() == pytest.approx(0.01, rel=1e-5)
        assert norm_of(with_gradients(layer.bias.grad)) / layer.bias.norm().item() == pytest.approx(0.01, rel=1e-5)
    for parameter, old in zip(net[2].parameters(), before[-2:], strict=True):
        assert torch.equal(parameter.grad, old)
    assert torch.nn.functional.cosine_similarity(net[0].weight.grad[3], before[0][3] / factor, dim=0) > 0.999999


@pytest.mark.parametrize("shape", [(3, 1), (1, 3), (3, 1, 1, 1), (3,)])
def test_adaptive_takes_a_tensor_with_one_long_dimension_as_one_unit(shape):
    """|W| = 5 and |G| = 10: at a ratio of at most 0.1 the gradient becomes 0.5, though its row's weight is 0."""
    weight, head = Parameter(torch.tensor([3.0, 0.0, 4.0]).view(shape)), Parameter(torch.ones(1))
    weight.grad = torch.tensor([0.0, 10.0, 0.0]).view(shape)
    clipping.clip_adaptive([("body.weight", weight), ("head.weight", head)], clip=0.1, eps=1e-3)
    assert weight.grad.flatten().tolist() == pytest.approx([0.0, 0.5, 0.0], rel=1e-6)


def test_adaptive_leaves_small_gradients_and_counts_zero_weights_with_eps():
    net = small_net()
    net[0].weight.grad.mul_(1e-9)
    net[0].bias.data.zero_()
    kept = net[0].weight.grad.clone()
    clipping.clip_adaptive(list(net.named_parameters()), clip=0.01, eps=1e-3)
    assert torch.equal(net[0].weight.grad, kept)
    assert norm_of(with_gradients(net[0].bias.grad)) == pytest.approx(1e-5, rel=1e-5)


def test_adaptive_leaves_units_that_are_not_finite():
    net = small_net()
    net[0].weight.grad[2, 1] = float("nan")
    clipping.clip_adaptive(list(net.named_parameters()), clip=0.01, eps=1e-3)
    norms = net[0].weight.grad.norm(dim=1) / net[0].weight.norm(dim=1)
    assert norms[2].isnan()
    assert norms[3].item() == pytest.approx(0.01, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "module"),
    [("stem.affine.weight", "stem.affine"), ("weight", ""), ("a.parametrizations.weight.original0", "a")],
)
def test_owner(name, module):
    assert clipping.owner(name) == module


@pytest.mark.parametrize("size", [1.0, 1e-39, 1e-30, 1e30])
def test_normalize_leaves_the_direction_at_length_one(size):
    pairs = with_gradients([3 * size, 0.0], [4 * size])
    clipping.normalize(pairs)
    assert norm_of(pairs) == pytest.approx(1, rel=1e-5)
    assert pairs[0][1].grad[0] / pairs[1][1].grad[0] == pytest.approx(0.75, rel=1e-5)


def test_normalize_keeps_a_zero():
    pairs = with_gradients([0.0, 0.0])
    clipping.normalize(pairs)
    assert torch.equal(pairs[0][1].grad, torch.zeros(2))


def test_centralize_takes_the_mean_of_each_row_and_leaves_vectors():
    pairs = with_gradients([[1.0, 2.0, 6.0], [3e38, 3e38, 0.0]], [5.0, 7.0])
    clipping.centralize(pairs)
    torch.testing.assert_close(pairs[0][1].grad, torch.tensor([[-2.0, -1.0, 3.0], [1e38, 1e38, -2e38]]))
    assert torch.equal(pairs[1][1].grad, torch.tensor([5.0, 7.0]))
    conv = torch.randn(4, 3, 2, 2)
    (pair,) = with_gradients(conv.clone())
    clipping.centralize([pair])
    torch.testing.assert_close(pair[1].grad, conv - conv.mean(dim=(1, 2, 3), keepdim=True))


RULES = [
    clipping.none,
    partial(clipping.clip_norm, max_norm=1.0),
    partial(clipping.clip_value, max_value=0.5),
    partial(clipping.clip_per_layer, max_norm=1.0),
    partial(clipping.clip_adaptive, clip=0.01, eps=1e-3),
    clipping.normalize,
    clipping.centralize,
    AutoClip(percentile=10.0),
    ZClip(alpha=0.97, z_threshold=2.5, warmup_steps=1),
]


@pytest.mark.parametrize(
    "rule",
    [partial(clipping.clip_per_layer, max_norm=1.0), clipping.normalize, AutoClip(percentile=50.0)],
)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_rules_leave_a_norm_that_is_not_finite(rule, bad):
    pairs = with_gradients([7.0, bad])
    rule(pairs)
    torch.testing.assert_close(pairs[0][1].grad, torch.tensor([7.0, bad]), equal_nan=True)


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
def test_rules_on_cuda_do_not_wait_for_the_device():
    pairs = [(name, Parameter(parameter.detach().cuda())) for name, parameter in with_gradients([3e38] * 50, [1.0])]
    for _, parameter in pairs:
        parameter.grad = torch.full_like(parameter, 3e38)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for rule in RULES[1:]:
            rule(pairs)
        clipping.clip_norm(pairs, max_norm=1.0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert norm_of(pairs) == pytest.approx(1, rel=1e-6)
