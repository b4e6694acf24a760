"""Recurrent nets: kernel and unrolled pass are one function, and the recorded gradients are total derivatives."""

from functools import partial
from math import log

import pytest
import torch
from tests.support.running import compose_config
from torch import nn

from gradlab.errors import GradlabError
from gradlab.nn import cells, initializers, normalization, residual
from gradlab.nn.recurrent_net import as_sequence, sequence_shape
from gradlab.nn.rnn import gru, lstm, rnn
from gradlab.probe.timesteps import unroll
from gradlab.run.assemble import assemble

KINDS = ("rnn", "lstm", "gru")
TORCH = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
LENGTH, FEATURES, WIDTH = 7, 3, 5


def net(kind, **changes):
    own = {
        "rnn": {"activation": nn.Tanh},
        "lstm": {"forget_bias": 1.0, "chrono": False},
        "gru": {"chrono": False},
    }[kind]
    arguments = {
        "input_shape": (LENGTH, FEATURES), "outputs": 2, "depth": 1, "width": WIDTH, "bias": True,
        "initializer": initializers.xavier_uniform, "recurrent_initializer": initializers.orthogonal,
        "normalization": normalization.none, "residual": residual.none, **own,
    }  # fmt: skip
    return {"rnn": rnn, "lstm": lstm, "gru": gru}[kind](**{**arguments, **changes})


def shaken(model, dtype):
    """The model with every parameter, biases too, moved a little."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.to(dtype)


def reference_states(kind, model, x):
    """h_t (and c_t) of every layer and time step, [layer][t], each a leaf of the graph behind it; torch's own cells."""
    cell = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}[kind]
    found, below = [], list(x.unbind(1))
    for layer in [model.stem, *(block[0] for block in model.blocks)]:
        weights = layer.weights.state_dict()
        one = cell(below[0].shape[1], WIDTH).to(x.dtype)
        one.load_state_dict({name.removesuffix("_l0"): value for name, value in weights.items()})
        state, states = None, []
        for step in below:
            state = one(step, state)
            states.append(state if kind == "lstm" else (state,))
        found.append(states)
        below = [state[0] for state in states]
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
@pytest.mark.parametrize("each_step", [False, True])
def test_the_recorded_gradients_are_total_derivatives(kind, depth, dtype, close, each_step):
    torch.manual_seed(0)
    model = shaken(net(kind, depth=depth, each_step=each_step), dtype)
    x, y = torch.randn(4, LENGTH, FEATURES, dtype=dtype), torch.randint(2, (4, LENGTH) if each_step else (4,))
    passes = unroll(model, x, lambda outputs: nn.functional.cross_entropy(outputs, y))

    states = reference_states(kind, model, x)
    top = [state[0] for state in states[-1]]
    outputs = model.head(torch.stack(top, 1)).movedim(1, 2) if each_step else model.head(top[-1])
    loss = nn.functional.cross_entropy(outputs, y)
    assert len(passes) == depth
    for found, expected in zip(passes, states, strict=True):
        for place, (values, grads) in enumerate([(found.hidden, found.hidden_grads), found.cell][: len(expected[0])]):
            nodes = [state[place] for state in expected]
            total = torch.autograd.grad(loss, nodes, retain_graph=True)
            torch.testing.assert_close(values, torch.stack(nodes).detach(), rtol=close, atol=close)
            torch.testing.assert_close(grads, torch.stack(total), rtol=close, atol=close * float(total[-1].abs().max()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_unrolled_pass_is_torchs_kernel(kind):
    model = shaken(net(kind, depth=2), torch.float64)
    x = torch.randn(4, LENGTH, FEATURES, dtype=torch.float64)
    kernel = model(x)
    with model.unrolled() as tape:
        torch.testing.assert_close(model(x), kernel, rtol=1e-12, atol=1e-12)
    assert len(tape) == 2
    torch.testing.assert_close(model(x), kernel, rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_layer_trains_with_torchs_kernel(kind):
    model, x = net(kind), torch.randn(4, LENGTH, FEATURES)
    own = TORCH[kind](FEATURES, WIDTH, batch_first=True)
    own.load_state_dict(model.stem.weights.state_dict())
    torch.testing.assert_close(model.stem(x), own(x)[0], rtol=0, atol=0)
    calls = []
    model.stem.weights.register_forward_hook(lambda *_: calls.append(1))
    model(x)
    assert calls


@pytest.mark.parametrize("kind", KINDS)
def test_dl_dz_is_the_gradient_of_the_gates_sum(kind):
    """Against what torch's kernel makes of it: dL/dW is dL/dz times the inputs, dL/db its sum."""
    model = shaken(net(kind), torch.float64)
    x = torch.randn(3, LENGTH, FEATURES, dtype=torch.float64)
    (found,) = unroll(model, x, lambda outputs: outputs.square().sum())
    model(x).square().sum().backward()
    torch.testing.assert_close(found.preactivation_grads.sum((0, 1)), model.stem.input.bias.grad)
    below = torch.einsum("tng,nti->gi", found.preactivation_grads, x)
    torch.testing.assert_close(below, model.stem.input.weight.grad)


def test_layer_norm_in_a_tanh_cell_normalizes_the_sum():
    model = shaken(net("rnn", normalization=normalization.layer_norm), torch.float64)
    x = torch.randn(4, LENGTH, FEATURES, dtype=torch.float64)
    weights, norm = model.stem.weights, model.stem.cell.normalization
    h = torch.zeros(4, WIDTH, dtype=torch.float64)
    for step in x.unbind(1):
        z = step @ weights.weight_ih_l0.T + h @ weights.weight_hh_l0.T + weights.bias_ih_l0 + weights.bias_hh_l0
        spread = ((z - z.mean(1, keepdim=True)) ** 2).mean(1, keepdim=True)
        h = torch.tanh(norm.weight * (z - z.mean(1, keepdim=True)) / (spread + norm.eps).sqrt() + norm.bias)
    torch.testing.assert_close(model.stem(x)[:, -1], h)


def test_layer_norm_in_an_lstm_is_that_of_ba_et_al():
    model = shaken(net("lstm", normalization=normalization.layer_norm), torch.float64)
    x = torch.randn(4, LENGTH, FEATURES, dtype=torch.float64)
    layer, own = model.stem, model.stem.weights

    def norm(a, module):
        spread = ((a - a.mean(1, keepdim=True)) ** 2).mean(1, keepdim=True)
        return module.weight * (a - a.mean(1, keepdim=True)) / (spread + module.eps).sqrt() + module.bias

    h = c = torch.zeros(4, WIDTH, dtype=torch.float64)
    for step in x.unbind(1):
        z = norm(step @ own.weight_ih_l0.T, layer.input.normalization) + own.bias_ih_l0
        z = z + norm(h @ own.weight_hh_l0.T, layer.recurrent.normalization) + own.bias_hh_l0
        i, f, g, o = z.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(norm(c, layer.cell.normalization))
    torch.testing.assert_close(layer(x)[:, -1], h)


def test_layer_norm_in_a_gru_normalizes_gates_and_candidate_apart():
    model = shaken(net("gru", normalization=normalization.layer_norm), torch.float64)
    sizes = [part.normalized_shape[0] for part in model.stem.input.normalization.parts]
    assert sizes == [2 * WIDTH, WIDTH]
    assert isinstance(model.stem.cell, cells.GRU)
    x = torch.randn(4, LENGTH, FEATURES, dtype=torch.float64)
    assert not torch.equal(model(x), net("gru").double()(x))


@pytest.mark.parametrize("kind", KINDS)
def test_each_gates_recurrent_block_is_orthogonal_and_has_its_own_fan(kind):
    wide = partial(initializers.xavier_normal)
    weights = net(kind, width=40, initializer=wide, input_shape=(LENGTH, 400)).stem.weights
    for block in weights.weight_hh_l0.split(40):
        torch.testing.assert_close(block @ block.T, torch.eye(40), rtol=0, atol=1e-5)
    for block in weights.weight_ih_l0.split(40):
        assert float(block.detach().std()) == pytest.approx((2 / 440) ** 0.5, rel=0.05)


def test_biases_are_zero_but_for_the_forget_gate():
    for kind in ("rnn", "gru"):
        weights = net(kind).stem.weights
        assert not (weights.bias_ih_l0 + weights.bias_hh_l0).any()
    weights = net("lstm", forget_bias=1.7, depth=2).blocks[0][0].weights
    i, f, g, o = (weights.bias_ih_l0 + weights.bias_hh_l0).chunk(4)
    assert (f == 1.7).all()
    assert not torch.cat([i, g, o]).any()


def test_chrono_biases_follow_tallec_and_ollivier():
    longest, width = 1000, 1000
    drawn = []
    for chrono, shape in ((True, (longest, FEATURES)), (float(longest), (LENGTH, FEATURES))):
        weights = net("lstm", chrono=chrono, width=width, input_shape=shape,
                      recurrent_initializer=initializers.zeros).stem.weights  # fmt: skip
        i, f, g, o = (weights.bias_ih_l0 + weights.bias_hh_l0).chunk(4)
        assert torch.equal(i, -f)
        assert not torch.cat([g, o]).any()
        drawn.append(f)
    weights = net("gru", chrono=True, width=width, input_shape=(longest, FEATURES),
                  recurrent_initializer=initializers.zeros).stem.weights  # fmt: skip
    r, u, n = (weights.bias_ih_l0 + weights.bias_hh_l0).chunk(3)
    assert not torch.cat([r, n]).any()
    for keep in (x.detach() for x in (*drawn, u)):  # torch's u keeps the state: a large bias remembers
        assert float(keep.min()) >= 0
        assert float(keep.max()) <= log(longest - 1)
        assert float(keep.exp().mean()) == pytest.approx(longest / 2, rel=0.08)


def test_an_initializer_with_biases_of_its_own_keeps_them():
    rule = partial(initializers.mean_field, bias_variance=1.0)
    biases = net("lstm", initializer=rule, width=400, forget_bias=50.0).stem.weights.bias_ih_l0
    i, f, _, _ = biases.detach().chunk(4)
    assert float(f.std()) == pytest.approx(1, rel=0.1)
    assert float(f.max()) < 10
    assert float(i.std()) == pytest.approx(1, rel=0.1)


def test_without_biases_there_are_none():
    for kind in KINDS:
        names = [name for name, _ in net(kind, bias=False).named_parameters()]
        assert not [name for name in names if "bias" in name]


@pytest.mark.parametrize(
    ("shape", "steps", "features"), [((100, 2), 100, 2), ((3, 8, 6), 8, 18), ((64,), 64, 1)]
)  # fmt: skip
def test_what_is_a_time_step(shape, steps, features):
    assert sequence_shape(shape) == (steps, features)
    x = torch.randn(2, *shape)
    sequence = as_sequence(x)
    assert sequence.shape == (2, steps, features)
    if len(shape) == 3:
        torch.testing.assert_close(sequence[1, 4].view(3, 6), x[1, :, 4])


@pytest.mark.parametrize("name", ["identity", "pre_activation", "scaled", "rezero", "skip_init", "stochastic_depth"])
def test_a_skip_between_layers_adds_the_input(name):
    loop = assemble(compose_config("model=lstm", "model.depth=3", "model.width=6", f"residual={name}"))
    model = loop.model.eval()
    x = torch.randn(4, 8, 8)
    below = model.stem(x)
    block = model.blocks[0]
    scale = {"scaled": 2**-0.5, "rezero": 0.0, "skip_init": 0.0, "stochastic_depth": block.survival
             if name == "stochastic_depth" else 0}.get(name, 1.0)  # fmt: skip
    torch.testing.assert_close(block(below), below + scale * block.branch(below))


REFUSED = [
    (["model=lstm", "normalization=batch_norm"], "normalization"),
    (["model=rnn", "normalization=group_norm"], "normalization"),
    (["model=gru", "normalization=weight_norm"], "layer_norm or rms_norm"),
    (["model=rnn", "residual=highway"], "residual"), (["model=rnn", "residual=fixup"], "residual"),
    (["model=rnn", "initializer=lsuv"], "model.initializer"), (["model=gru", "model.depth=0"], "depth"),
    (["model=gru", "recurrent_initializer=lsuv"], "model.recurrent_initializer"),
    (["model=lstm", "model.bias=false", "model.chrono=true"], "model.chrono"),
    (["model=mlp", "data=copy_memory"], "every time step"),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "named"), REFUSED, ids=lambda item: item[-1] if isinstance(item, list) else "")
def test_what_makes_no_sense_is_refused_in_a_line(overrides, named):
    with pytest.raises(GradlabError, match=named) as caught:
        assemble(compose_config(*overrides))
    assert "\n" not in str(caught.value)
