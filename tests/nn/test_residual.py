from functools import partial

import pytest
import torch
from torch import nn

from gradlab.nn import initializers, normalization, residual
from gradlab.nn.mlp import MLP


def model(block, *, depth=5, block_depth=2, normalize=normalization.none, activation=nn.ReLU):
    torch.manual_seed(0)
    return MLP(
        input_shape=(8,), outputs=3, depth=depth, width=8, bias=True, block_depth=block_depth, activation=activation,
        initializer=initializers.kaiming_normal, normalization=normalize, residual=block,
    )  # fmt: skip


def test_identity_block_is_phi_of_the_sum():
    block = model(residual.Identity).blocks[0]
    x = torch.randn(4, 8)
    first, second = block.branch
    expected = torch.relu(x + second.affine(torch.relu(first.affine(x))))
    assert torch.equal(block(x), expected)


def test_pre_activation_block_has_nothing_after_the_sum():
    net = model(residual.PreActivation, normalize=normalization.layer_norm)
    block, x = net.blocks[0], torch.randn(4, 8)
    y = x
    for layer in block.branch:
        y = layer.affine(torch.relu(layer.normalization(y)))
    assert torch.equal(block(x), x + y)
    assert [name for name, _ in net.stem.named_children()] == ["affine"]


def test_an_incomplete_last_block_is_shorter():
    assert [len(block.branch) for block in model(residual.PreActivation, depth=6, block_depth=2).blocks] == [2, 2, 1]
    assert len(model(residual.PreActivation, depth=1).blocks) == 0


def test_scaled_by_depth():
    blocks = model(residual.Scaled, depth=10, block_depth=1).blocks
    assert {block.alpha for block in blocks} == {1 / 3}


def test_stochastic_depth_drops_by_the_linear_rule_and_averages_at_evaluation():
    net = model(partial(residual.StochasticDepth, survival=0.2), depth=5, block_depth=1)
    assert [block.survival for block in net.blocks] == pytest.approx([0.8, 0.6, 0.4, 0.2])
    block, x = net.blocks[3], torch.randn(4, 8)
    branch = block.branch(x)
    kept = [not torch.equal(block(x), x) for _ in range(2000)]
    assert sum(kept) / len(kept) == pytest.approx(0.2, abs=0.04)
    assert torch.allclose(block.eval()(x), x + 0.2 * branch)


def test_stochastic_depth_per_sample_draws_for_each():
    block = model(partial(residual.StochasticDepth, survival=0.5, per_sample=True), depth=2, block_depth=1).blocks[0]
    x = torch.randn(1000, 8)
    dropped = (block(x) == x).all(dim=1).float().mean()
    assert float(dropped) == pytest.approx(0.5, abs=0.07)


def test_highway_mixes_by_its_gate():
    block = model(residual.Highway, depth=2, block_depth=1).blocks[0]
    x = torch.randn(4, 8)
    gate = torch.sigmoid(block.gate.affine(x))
    assert torch.allclose(block(x), gate * block.branch(x) + (1 - gate) * x)
    assert (block.gate.affine.bias == -2).all()


@pytest.mark.parametrize("block_depth", [2, 3])
@pytest.mark.parametrize("normalize", [normalization.none, normalization.weight_norm])
def test_fixup_scales_inner_layers_and_zeroes_the_last(block_depth, normalize):
    net = model(residual.Fixup, depth=1 + 4 * block_depth, block_depth=block_depth, normalize=normalize)
    plain = [layer.affine.weight.detach().clone() for block in net.blocks for layer in block.branch]
    net.finish(torch.randn(4, 8))
    scale = 4 ** (-1 / (2 * block_depth - 2))
    for i, layer in enumerate(layer for block in net.blocks for layer in block.branch):
        last = i % block_depth == block_depth - 1
        assert torch.allclose(layer.affine.weight, torch.zeros(8, 8) if last else scale * plain[i])
    assert net.head.weight.any()


def test_fixup_can_zero_the_head():
    net = model(partial(residual.Fixup, zero_head=True))
    net.finish(torch.randn(4, 8))
    assert not net.head.weight.any()


@pytest.mark.parametrize("key", ["depth", "width", "block_depth"])
def test_sizes_below_one_are_refused(key):
    sizes = {"depth": 2, "width": 4, "block_depth": 1} | {key: 0}
    with pytest.raises(ValueError, match=f"{key} must be at least 1, got 0"):
        MLP(
            input_shape=(8,), outputs=3, bias=True, activation=nn.ReLU, initializer=initializers.kaiming_normal,
            normalization=normalization.none, residual=residual.none, **sizes,
        )  # fmt: skip
