from math import ceil

import pytest
import torch
from torch import nn

from gradlab.nn import initializers, normalization, residual
from gradlab.nn.cnn import CNN
from gradlab.nn.shortcuts import ZeroPad


def model(**changes):
    torch.manual_seed(0)
    sizes = {"depth": 7, "width": 4, "kernel_size": 3, "stages": 3, "block_depth": 2}
    parts = {
        "padding_mode": "zeros", "shortcut": "zero_pad", "bias": True, "activation": nn.ReLU,
        "initializer": initializers.kaiming_normal, "normalization": normalization.none,
        "residual": residual.Identity,
    }  # fmt: skip
    return CNN(**{"input_shape": (3, 9, 12), "outputs": 5, **sizes, **parts, **changes})


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(("depth", "millions"), [(19, 0.27), (31, 0.46), (43, 0.66), (55, 0.85), (109, 1.7)])
def test_the_cifar_shapes_have_the_published_numbers_of_parameters(depth, millions):
    sizes = {"input_shape": (3, 32, 32), "outputs": 10, "depth": depth, "width": 16, "bias": False}
    net = model(**sizes, normalization=normalization.batch_norm)
    assert round(count(net) / 1e6, 2 if millions < 1 else 1) == millions
    plain = model(**sizes, normalization=normalization.batch_norm, residual=residual.none)
    assert count(plain) == count(net)
    projections = model(**sizes, normalization=normalization.batch_norm, shortcut="projection")
    assert count(projections) - count(net) == 16 * 32 + 32 * 64 + 2 * (32 + 64)


@pytest.mark.parametrize(("stages", "depth"), [(1, 7), (2, 8), (3, 9), (3, 4), (4, 7), (5, 3), (3, 1)])
@pytest.mark.parametrize("shortcut", ["zero_pad", "projection"])
def test_stages_halve_the_map_and_double_the_width(stages, depth, shortcut):
    net = model(stages=stages, depth=depth, block_depth=1, shortcut=shortcut)
    sizes = []
    x = net.stem(torch.randn(2, 3, 9, 12))
    for block in [nn.Identity(), *net.blocks]:
        x = block(x)
        sizes.append(tuple(x.shape[1:]))
    expected = [(4 * 2**s, ceil(9 / 2**s), ceil(12 / 2**s)) for s in range(max(1, min(stages, depth - 1)))]
    assert list(dict.fromkeys(sizes)) == expected
    lengths = [sizes[1:].count(size) for size in expected]
    assert max(lengths) - min(lengths) <= 1
    assert net(torch.randn(2, 3, 9, 12)).shape == (2, 5)


def test_the_head_sees_the_mean_over_the_map():
    net, x = model(), torch.randn(2, 3, 9, 12)
    assert torch.allclose(net(x), net.head(net.blocks(net.stem(x)).flatten(2).mean(2)))


def test_zero_padding_keeps_every_second_pixel_and_appends_zeros():
    x = torch.randn(2, 3, 5, 4)
    y = ZeroPad(3, 2)(x)
    assert torch.equal(y[:, :3], x[:, :, ::2, ::2])
    assert y.shape == (2, 6, 3, 2)
    assert not y[:, 3:].any()


def test_a_block_that_changes_the_shape_adds_its_shortcut():
    block, x = model().blocks[1], torch.relu(torch.randn(2, 4, 9, 12))
    assert torch.equal(block(x), torch.relu(block.branch(x) + ZeroPad(4, 2)(x)))


def test_projections_have_rows_of_their_own():
    points = list(model(shortcut="projection").points())
    assert [(point.depth_index, point.role) for point in points] == [
        (1, "main"), (2, "main"), (3, "main"), (4, "main"), (5, "main"), (4, "shortcut"),
        (6, "main"), (7, "main"), (6, "shortcut"), (8, "main"),
    ]  # fmt: skip
    assert not any(point.role == "shortcut" for point in model().points())
    assert not any(point.role == "shortcut" for point in model(residual=residual.none).points())


def test_highway_gates_are_convolutions_of_the_branch_shape():
    block, x = model(residual=residual.Highway).blocks[1], torch.randn(2, 4, 9, 12)
    gate = torch.sigmoid(block.gate.affine(x))
    assert torch.allclose(block(x), gate * block.branch(x) + (1 - gate) * ZeroPad(4, 2)(x))
    assert block.gate.affine.weight.shape == block.branch[0].affine.weight.shape


def test_circular_padding_knows_no_edge():
    net = model(padding_mode="circular", stages=1, residual=residual.none)
    x = torch.randn(2, 3, 8, 8)
    assert torch.allclose(net.stem(x.roll(3, 2)), net.stem(x).roll(3, 2), atol=1e-6)


def test_no_bias_means_none_anywhere():
    names = [name for name, _ in model(bias=False, shortcut="projection").named_parameters()]
    assert not any("bias" in name for name in names)


@pytest.mark.parametrize(("changes", "message"), [
    ({"depth": 0}, "depth must be at least 1, got 0"),
    ({"stages": 0}, "stages must be at least 1, got 0"),
    ({"kernel_size": 4}, "kernel_size must be odd"),
    ({"input_shape": (64,)}, r"images \(channels, rows, columns\); .* are \(64,\)"),
    ({"padding_mode": "circular", "kernel_size": 9}, "too large for circular padding: the last map is 3 pixels wide"),
])  # fmt: skip
def test_sizes_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        model(**changes)
