"""Models without gradlab's parts: the weights that are found, their order and their figures."""

import pytest
import torch
from torch import nn

from gradlab.probe.columns import COLUMNS
from gradlab.probe.discovery import find_points
from gradlab.probe.probe import Probe


def record(model, *inputs, steps=1, loss=lambda y: y.square().mean(), backward=None, **options):
    """Rows of the last of a few steps of SGD, as dictionaries by layer."""
    probe = Probe(model, **({"every": 1, "full_every": 1, "last": steps - 1} | options))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rows = []
    for step in range(steps):
        optimizer.zero_grad()
        probe.start(step)
        (backward or (lambda y: loss(y).backward()))(model(*inputs))
        probe.after_backward()
        probe.after_clipping()
        optimizer.step()
        probe.after_update()
        rows = probe.take().layers
    assert not any(module._forward_hooks for module in model.modules())
    return {row["layer"]: row for row in (dict(zip(COLUMNS, row, strict=True)) for row in rows)}


def places(rows):
    return [(row["depth_index"], row["layer"], row["role"]) for row in rows.values()]


class Last(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.head = inner, nn.Linear(5, 2)

    def forward(self, x):
        y = self.inner(x)
        return self.head(y[0] if isinstance(y, tuple) else y)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_modules_have_a_row_for_each_layer_and_matrix(kind):
    model = Last(kind(3, 5, num_layers=2, batch_first=True))
    rows = record(model, torch.randn(4, 6, 3))
    assert places(rows) == [
        (1, "inner.weight_ih_l0", "main"), (1, "inner.weight_hh_l0", "recurrent"),
        (2, "inner.weight_ih_l1", "main"), (2, "inner.weight_hh_l1", "recurrent"), (3, "head", "main"),
    ]  # fmt: skip
    hidden = rows["inner.weight_hh_l1"]
    assert hidden["weight_grad_norm"] == pytest.approx(model.inner.weight_hh_l1.grad.norm().item(), rel=1e-5)
    assert hidden["update_norm"] == pytest.approx(0.1 * hidden["weight_grad_norm"], rel=1e-3)
    assert hidden["preactivation_norm"] is hidden["activation_grad_norm"] is None
    assert rows["head"]["preactivation_grad_norm"] > 0


def test_reverse_and_projection_matrices_have_the_number_of_their_layer():
    model = nn.LSTM(3, 4, bidirectional=True, proj_size=2)
    rows = record(model, torch.randn(6, 4, 3), loss=lambda y: y[0].square().mean())
    assert places(rows) == [
        (1, f"weight_{kind}_l0{suffix}", role)
        for suffix, first in (("", "main"), ("_reverse", "reverse"))
        for kind, role in (("ih", first), ("hh", "recurrent"), ("hr", "projection"))
    ]


def test_a_recurrent_cell_that_is_called_repeatedly_has_one_number():
    class Unrolled(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.cell = nn.Linear(5, 2), nn.GRUCell(3, 5)

        def forward(self, x):
            h = x.new_zeros(len(x), 5)
            for t in range(x.shape[1]):
                h = self.cell(x[:, t], h)
            return self.head(h)

    rows = record(Unrolled(), torch.randn(4, 6, 3))
    assert places(rows) == [
        (1, "cell.weight_ih", "main"), (1, "cell.weight_hh", "recurrent"), (2, "head", "main")]  # fmt: skip


@pytest.mark.parametrize("batch_first", [True, False])
def test_the_output_projection_of_attention_is_recorded_though_it_is_never_called(batch_first):
    class Attend(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            self.seen = self.attention(x, x, x)[0]
            self.seen.retain_grad()
            return self.head(self.seen)

    model = Attend()
    rows = record(model, torch.randn(4, 6, 8))
    assert places(rows) == [
        (1, "attention.in_proj_weight", "main"), (2, "attention.out_proj", "main"), (3, "head", "main")]  # fmt: skip
    out, into = rows["attention.out_proj"], rows["attention.in_proj_weight"]
    assert out["preactivation_norm"] == pytest.approx(model.seen.norm().item(), rel=1e-5)
    assert out["preactivation_grad_norm"] == pytest.approx(model.seen.grad.norm().item(), rel=1e-5)
    assert out["weight_grad_norm"] == pytest.approx(model.attention.out_proj.weight.grad.norm().item(), rel=1e-5)
    assert into["weight_grad_norm"] == pytest.approx(model.attention.in_proj_weight.grad.norm().item(), rel=1e-5)
    assert into["preactivation_norm"] is None


def test_attention_with_other_sizes_of_keys_has_three_input_projections():
    model = nn.MultiheadAttention(8, 2, kdim=4, vdim=6)
    inputs = torch.randn(5, 3, 8), torch.randn(7, 3, 4), torch.randn(7, 3, 6)
    rows = record(model, *inputs, loss=lambda y: y[0].square().mean())
    assert places(rows) == [
        (1, "v_proj_weight", "main"), (1, "q_proj_weight", "query"), (1, "k_proj_weight", "key"),
        (2, "out_proj", "main")]  # fmt: skip


def test_a_transformer_encoder_has_a_row_for_every_weight_in_order():
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
    rows = record(model, torch.randn(2, 3, 8))
    names = ("self_attn.in_proj_weight", "self_attn.out_proj", "linear1", "linear2")
    expected = [f"layers.{i}.{name}" for i in range(2) for name in names]
    assert places(rows) == [(depth, name, "main") for depth, name in enumerate(expected, start=1)]


class Tied(nn.Module):
    """A language model whose last layer can share the weight of its first."""

    def __init__(self, *, sparse=False):
        super().__init__()
        self.out = nn.Linear(6, 9, bias=False)
        self.inner = nn.Linear(6, 6)
        self.embedding = nn.Embedding(9, 6, sparse=sparse)
        self.unused = nn.Conv1d(2, 2, 1)

    def forward(self, tokens):
        return self.out(self.inner(self.embedding(tokens)))


def test_a_tied_weight_has_two_rows_that_share_its_gradient():
    model = Tied()
    model.out.weight = model.embedding.weight
    rows = record(model, torch.tensor([[1, 2], [3, 3]]))
    assert places(rows) == [(1, "embedding", "main"), (2, "inner", "main"), (3, "out", "main")]
    whole = model.embedding.weight.grad.norm().item()
    assert rows["embedding"]["weight_grad_norm"] == rows["out"]["weight_grad_norm"] == pytest.approx(whole, rel=1e-5)
    assert rows["embedding"]["preactivation_norm"] != rows["out"]["preactivation_norm"]


def test_sparse_gradients_are_measured():
    model = Tied(sparse=True)
    rows = record(model, torch.tensor([[1, 2], [3, 3]]))
    dense = model.embedding.weight.grad.to_dense()
    assert rows["embedding"]["weight_grad_norm"] == pytest.approx(dense.norm().item(), rel=1e-5)


def test_measuring_spectral_norm_does_not_iterate_it():
    torch.manual_seed(0)
    model = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 6)), nn.Linear(6, 2))
    x = torch.randn(8, 4)
    states = []
    for every in (0, 1):
        copy = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 6)), nn.Linear(6, 2))
        copy.load_state_dict(model.state_dict())
        rows = record(copy, x, steps=3, every=every)
        states.append(copy.state_dict())
    assert rows["0"]["update_norm"] > 0
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_deprecated_weight_norm_has_a_weight_norm_but_no_gradient_or_update():
    with pytest.warns(FutureWarning):
        layer = nn.utils.weight_norm(nn.Linear(4, 6))
    rows = record(nn.Sequential(layer, nn.Linear(6, 2)), torch.randn(8, 4))
    assert rows["0"]["weight_norm"] > 0
    assert rows["0"]["update_norm"] is rows["0"]["weight_grad_norm"] is None


def test_two_backward_passes_through_one_output_are_summed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    x = torch.randn(8, 4)

    def twice(y):
        y[:, 0].square().mean().backward(retain_graph=True)
        y[:, 1].exp().mean().backward()

    once = record(model, x, loss=lambda y: y[:, 0].square().mean() + y[:, 1].exp().mean())
    state = [p.detach() + 0.1 * p.grad for p in model.parameters()]
    for parameter, old in zip(model.parameters(), state, strict=True):
        parameter.data.copy_(old)
    both = record(model, x, backward=twice)
    for layer in ("0", "2"):
        for column in ("preactivation_grad_norm", "activation_grad_norm", "weight_grad_norm", "grad_log10_p50"):
            assert both[layer][column] == pytest.approx(once[layer][column], rel=1e-4), (layer, column)


def test_a_graph_kept_without_a_second_pass_is_recorded():
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
    x = torch.randn(8, 4)
    kept = record(model, x, backward=lambda y: y.sum().backward(retain_graph=True))
    assert kept["0"]["preactivation_grad_norm"] == pytest.approx(
        (torch.ones(8, 2) @ (model[1].weight + 0.1 * model[1].weight.grad)).norm().item(), rel=1e-4
    )


class Skipping(nn.Module):
    """Skips layers in some of its steps."""

    def __init__(self, skipped):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(4))
        self.skipped, self.step = skipped, -1

    def forward(self, x):
        self.step += 1
        for number, layer in enumerate(self.layers):
            x = x if number in self.skipped[self.step] else layer(x)
        return x


def test_numbers_do_not_change_when_another_layer_is_called():
    rows = record(Skipping([{1}, {2}]), torch.randn(3, 4), steps=2)
    assert places(rows) == [(1, "layers.0", "main"), (1, "layers.1", "late"), (3, "layers.3", "main")]


def test_networks_trained_in_turn_are_numbered_one_after_the_other():
    rows = record(Skipping([{0, 1}, {2, 3}]), torch.randn(3, 4), steps=2)
    assert places(rows) == [(3, "layers.0", "main"), (4, "layers.1", "main")]


def test_patterns_do_not_change_the_numbers():
    rows = record(Skipping([{}]), torch.randn(3, 4), layers=["*.1", "*.3"])
    assert places(rows) == [(2, "layers.1", "main"), (4, "layers.3", "main")]


def test_models_without_weights_and_lazy_ones_are_refused():
    with pytest.raises(ValueError, match="Sequential has no weight layer"):
        find_points(nn.Sequential(nn.ReLU(), nn.LayerNorm(3)))
    with pytest.raises(ValueError, match="LazyLinear has no weight yet"):
        find_points(nn.Sequential(nn.LazyLinear(3)))
