"""Figures of a matrix are cached, and computed again after any modification."""

import pytest
import torch
from torch import nn

from gradlab.interfaces import Point
from gradlab.norms import CHUNK
from gradlab.probe import gauge_device, gauge_host
from gradlab.probe.columns import COLUMNS
from gradlab.probe.gauge_batched import BatchedGauge
from gradlab.probe.probe import Probe


class WithPoints(nn.Module):
    """Has points(), so that its weights are read for the next step too."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(5, 6), nn.Linear(6, 3)

    def points(self):
        layers = (self.first, self.second)
        return [Point(depth_index=i, affine=layer, output=layer) for i, layer in enumerate(layers, 1)]

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


class Clamped(nn.Module):
    """Modifies its weight in the forward pass without counting by torch, and has no points()."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x):
        self.second.weight.data.clamp_(min=0.05)
        return self.second(torch.tanh(self.first(x)))


def nothing(model):
    pass


def in_place(model):
    with torch.no_grad():
        model.first.weight.mul_(2)


def another_storage(model):
    for _ in range(2):  # the second may reuse the address of the first
        model.first.weight.data = 3 * model.first.weight.data


def another_parameter(model):
    model.first.weight = nn.Parameter(torch.ones(6, 5))


@pytest.mark.parametrize("between", [nothing, in_place, another_storage, another_parameter])
@pytest.mark.parametrize("make", [WithPoints, Clamped])
@pytest.mark.parametrize("gauge", [gauge_host, gauge_device])
def test_cached_figures_are_computed_again_after_a_write(make, between, gauge):
    model, x = make(), torch.randn(4, 5)
    probe = Probe(model, every=1, full_every=4, last=10, gauge=gauge)
    expected = []
    for step in range(5):
        probe.start(step)
        model.zero_grad()
        between(model)
        model(x).square().mean().backward()
        layers = (model.first, model.second)
        probe.after_backward()
        before = [layer.weight.detach().clone() for layer in layers]
        probe.after_clipping()
        with torch.no_grad():
            for layer in layers:
                layer.weight -= 0.1 * layer.weight.grad
        probe.after_update()
        moved = [layer.weight.detach() - old for layer, old in zip(layers, before, strict=True)]
        expected += [
            {"weight_norm": old.norm(), "weight_grad_norm": layer.weight.grad.norm(), "update_norm": new.norm()}
            for layer, old, new in zip(layers, before, moved, strict=True)
        ]
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in probe.take().layers]
    for row, figures in zip(rows, expected, strict=True):
        for name, value in figures.items():
            assert row[name] == pytest.approx(float(value), rel=1e-5), name


def halved(model):
    with torch.no_grad():
        model.first.weight.grad.div_(2)


def replaced(model):
    model.first.weight.grad = torch.ones(6, 5)


def added_to(model):
    model(torch.ones(4, 5)).sum().backward()


@pytest.mark.parametrize("change", [halved, replaced, added_to])
def test_a_gradient_that_was_changed_after_the_backward_pass_is_read_again(change):
    model = WithPoints()
    probe = Probe(model, every=1, full_every=1, last=10)
    probe.start(3)
    model(torch.randn(4, 5)).square().mean().backward()
    change(model)
    probe.after_backward()
    probe.after_clipping()
    grad, weight = model.first.weight.grad, model.first.weight.detach()
    probe.end()
    row = dict(zip(COLUMNS, probe.take().layers[0], strict=True))
    assert row["weight_grad_norm"] == pytest.approx(float(grad.norm()))
    assert row["clipped_weight_grad_norm"] == row["weight_grad_norm"]
    assert row["weight_grad_cosine"] == pytest.approx(float((grad * weight).sum() / grad.norm() / weight.norm()))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("size", [7, CHUNK, 2 * CHUNK + 5])
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1.0, 1e30, torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_moved_equals_distance_and_norm(size, scale, dtype):
    torch.manual_seed(0)
    old, new = (torch.randn(2, size) * scale).to(dtype)
    kept = gauge_host.keep(old, None)
    update, norm = gauge_host.moved(new, kept)
    assert norm == pytest.approx(gauge_host.norm(new), rel=0, nan_ok=True)
    assert update == pytest.approx(gauge_host.distance(new, gauge_host.keep(old, None)), rel=1e-15, nan_ok=True)
    assert gauge_host.distance(new, kept) == 0 or scale == torch.inf
    for gauge in (gauge_device, BatchedGauge(1)):
        buffer = old.clone()
        assert [float(x) for x in gauge.moved(new, buffer)] == pytest.approx([update, norm], rel=1e-2, nan_ok=True)
        assert torch.equal(buffer, new)


def test_finding_layers_again_removes_the_old_hooks():
    model = WithPoints()
    probe = Probe(model, every=1, full_every=1, last=10)
    probe.start(0)
    probe.find_layers()
    assert not model.first._forward_hooks
