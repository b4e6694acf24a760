"""Torch has the private names that gradlab uses, and each fallback gives the same results."""

import importlib
import subprocess
import sys
import warnings
from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch._C import _autograd

from gradlab.compat import torch_private
from gradlab.probe.columns import COLUMNS
from gradlab.probe.probe import Probe


def recorded(train) -> dict[str, dict]:
    """Return the row of each layer of a small net, after `train` has done the passes of one step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    probe = Probe(model, every=1, full_every=1, last=-1)
    probe.start(0)
    train(model, torch.randn(5, 3))
    probe.after_backward()
    probe.after_clipping()
    probe.end()
    rows = probe.take().layers
    return {row[2]: dict(zip(COLUMNS, row, strict=True)) for row in rows}


def one_pass(model, x):
    model(x).square().mean().backward()


def kept_graph(model, x):
    """Two losses on one graph, one backward pass for each."""
    y = model(x)
    y[:, 0].mean().backward(retain_graph=True)
    y[:, 1].square().mean().backward()


def summed(model, x):
    """The same two losses in one backward pass."""
    y = model(x)
    (y[:, 0].mean() + y[:, 1].square().mean()).backward()


@contextmanager
def without_keep_graph():
    """Simulate a torch without the function that returns whether a backward pass keeps its graph."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(_autograd, "_get_current_graph_task_keep_graph")
        importlib.reload(torch_private)
        assert torch_private.keeps_graph() is True
        try:
            yield
        finally:
            patch.undo()
            importlib.reload(torch_private)


def test_torch_has_every_name():
    assert torch_private.keeps_graph.__name__ == "_get_current_graph_task_keep_graph"
    module, tensor = nn.Linear(2, 2), torch.ones(2)
    assert not [name for name in torch_private._TABLES if not hasattr(module, name)]
    assert isinstance(torch_private.count_writes(tensor), int)
    assert set(torch_private.own_parameters(module)) == {"weight", "bias"}
    assert hasattr(torch, "_weight_norm")


def test_keeps_graph_in_a_running_backward_pass():
    seen = []
    y = torch.ones(1, requires_grad=True) * 2
    y.register_hook(lambda grad: seen.append(torch_private.keeps_graph()))
    y.backward(retain_graph=True)
    y.backward()
    assert seen == [True, False]


def test_the_fallback_sums_two_passes_through_a_kept_graph():
    whole = recorded(summed)
    with without_keep_graph():
        fallback = recorded(kept_graph)
    assert set(fallback) == {"0", "2", "4"}
    for layer, row in fallback.items():
        for column, value in row.items():
            expected = whole[layer][column]
            expected = expected if isinstance(expected, str | None) else pytest.approx(expected, rel=1e-5)
            assert value == expected, (layer, column)


@pytest.mark.parametrize("train", [one_pass, kept_graph])
def test_figures_are_the_same_with_the_fallback(train):
    plain = recorded(train)
    with without_keep_graph():
        assert recorded(train) == plain


def test_in_place_writes_are_counted_and_the_fallback_assumes_one():
    tensor = torch.ones(2)
    before = torch_private.count_writes(tensor)
    assert torch_private.count_writes(tensor) == before
    tensor.mul_(2)
    assert torch_private.count_writes(tensor) != before
    assert torch_private._assume_written(tensor) != torch_private._assume_written(tensor)


def test_own_parameters_are_live():
    module = nn.Linear(2, 2)
    table = torch_private.own_parameters(module)
    module.weight = nn.Parameter(torch.zeros(2, 2))
    assert table["weight"] is module.weight


def test_a_module_with_parameters_hooks_or_children_is_not_bare():
    assert torch_private.is_bare(nn.Tanh())
    hooked = nn.Tanh()
    hooked.register_forward_hook(lambda *_: None)
    before = nn.Tanh()
    before.register_forward_pre_hook(lambda *_: None)
    assert not any(map(torch_private.is_bare, (hooked, before, nn.PReLU(), nn.Sequential(nn.Tanh()))))


def test_scale_rows_and_its_fallback_agree(monkeypatch):
    torch.manual_seed(0)
    direction, length = torch.randn(4, 3, 2, requires_grad=True), torch.rand(4, 1, 1, requires_grad=True)
    kernel = torch_private.scale_rows(direction, length)
    kernel_grads = torch.autograd.grad(kernel.square().sum(), (direction, length))
    monkeypatch.delattr(torch, "_weight_norm")
    formula = torch_private.scale_rows(direction, length)
    torch.testing.assert_close(kernel, formula)
    formula_grads = torch.autograd.grad(formula.square().sum(), (direction, length))
    for kernel_grad, formula_grad in zip(kernel_grads, formula_grads, strict=True):
        torch.testing.assert_close(kernel_grad, formula_grad)


def test_a_schedule_accepts_an_optimizer_marked_as_stepped():
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match=r"optimizer\.step"):
            torch.optim.lr_scheduler.ExponentialLR(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1), 0.5).step()
        torch_private.mark_as_stepped(optimizer)
        schedule.step()


def test_making_an_optimizer_imports_no_compiler():
    code = (
        "import sys, torch; from gradlab.compat.torch_private import avoid_compiler_import; avoid_compiler_import();"
        "torch.optim.Adam([torch.nn.Parameter(torch.ones(1))]);"
        "assert 'torch._dynamo' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
