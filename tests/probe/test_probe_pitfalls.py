"""Cases that probes commonly get wrong: order, in-place activations, frozen layers, pooled calls, observer effects."""

import hashlib
from math import inf, isnan, nan

import pytest
import torch
from tests.support.running import compose_config
from torch import nn

from gradlab.interfaces import Point
from gradlab.probe import gauge_device, gauge_host
from gradlab.probe.columns import COLUMNS
from gradlab.probe.probe import Probe
from gradlab.run.assemble import assemble


def record(model, x, *, loss=lambda y: y.square().mean(), every=1, full_every=1, last=0, step=0, backward=True):
    probe = Probe(model, every=every, full_every=full_every, last=last)
    probe.start(step)
    value = loss(model(x))
    if backward:
        value.backward()
    probe.after_backward()
    probe.after_clipping()
    probe.after_update()
    return [dict(zip(COLUMNS, row, strict=True)) for row in probe.take().layers]


class Reversed(nn.Module):
    """Registers its layers in the reverse of the order in which it calls them, and one that it never calls."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(4, 4)
        self.third = nn.Linear(5, 2)
        self.second = nn.Linear(6, 5)
        self.first = nn.Linear(4, 6)

    def forward(self, x):
        return self.third(torch.relu(self.second(torch.relu(self.first(x)))))


def test_rows_are_in_execution_order_without_uncalled_layers():
    rows = record(Reversed(), torch.randn(8, 4))
    assert [(row["depth_index"], row["layer"]) for row in rows] == [(1, "first"), (2, "second"), (3, "third")]


def test_in_place_activations_give_the_same_figures():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    in_place = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 2))
    in_place.load_state_dict(plain.state_dict())
    x = torch.randn(8, 4)
    for model in (plain, in_place):
        model.points = lambda model=model: [
            Point(depth_index=1, affine=model[0], output=model[1], activation=model[1]),
            Point(depth_index=2, affine=model[2], output=model[2]),
        ]
    assert record(plain, x) == record(in_place, x)


@pytest.mark.parametrize("frozen", [[0], [2], [0, 2]])
def test_frozen_layers_are_recorded_without_gradients(frozen):
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    for i in frozen:
        model[i].requires_grad_(False)
    rows = record(model, torch.randn(8, 4), backward=len(frozen) < 2)
    assert len(rows) == 2
    for i, row in zip((0, 2), rows, strict=True):
        assert row["preactivation_norm"] > 0
        assert (row["weight_grad_norm"] is None) == (i in frozen)
    assert (rows[0]["preactivation_grad_norm"] is None) == (0 in frozen)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_non_finite_values_are_kept(bad):
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    x = torch.randn(8, 4)
    x[0, 0] = bad
    first = record(model, x)[0]
    assert isnan(first["preactivation_norm"]) or first["preactivation_norm"] == inf
    assert isnan(first["preactivation_std"])
    assert first["preactivation_grad_norm"] is not None


def test_recorded_steps_are_those_of_the_intervals_and_the_first_and_last():
    def steps(every, full_every, last):
        model = nn.Linear(2, 2)
        probe = Probe(model, every=every, full_every=full_every, last=last)
        chosen = []
        for step in range(last + 1):
            recorded = probe.start(step)
            assert bool(model._forward_hooks) == recorded  # no hook on a step that is not recorded
            chosen += [(step, probe.full)] if recorded else []
            model(torch.ones(1, 2)).sum().backward()
            probe.after_backward()
            probe.after_update()
        assert not model._forward_hooks
        return chosen

    assert steps(10, 10, 4) == [(0, True), (4, True)]  # an interval longer than the run
    assert steps(3, 2, 10) == [(0, True), (3, False), (6, True), (9, False), (10, True)]
    assert steps(0, 1, 5) == []


def test_evaluation_between_recorded_steps_is_not_measured():
    model = nn.Linear(2, 2)
    probe = Probe(model, every=1, full_every=1, last=5)
    for step in range(2):
        probe.start(step)
        model(torch.ones(1, 2)).sum().backward()
        probe.after_backward()
        probe.after_update()
        with torch.no_grad():
            model(torch.full((1, 2), 1e6))
    assert max(row[COLUMNS.index("preactivation_norm")] for row in probe.take().layers) < 1e3


def test_calls_of_one_layer_are_pooled():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 3)

        def forward(self, x):
            self.outs = [self.inner(x)]
            self.outs.append(self.inner(torch.tanh(self.outs[0])))
            return self.outs[1]

    model = Twice().double()
    x = torch.randn(7, 3, dtype=torch.float64)
    (row,) = record(model, x)
    z = torch.cat(model.outs).detach()
    loss = model(x).square().mean()
    grads = torch.cat(torch.autograd.grad(loss, model.outs))
    assert row["preactivation_norm"] == pytest.approx(float(z.norm()), rel=1e-12)
    assert row["preactivation_std"] == pytest.approx(float(z.std(correction=0)), rel=1e-12)
    assert row["preactivation_grad_norm"] == pytest.approx(float(grads.norm()), rel=1e-12)
    assert row["grad_log10_p50"] == pytest.approx(float(torch.quantile(grads.abs().log10(), 0.5)))


def test_five_calls_of_different_sizes_are_pooled_as_if_measured_together():
    class FiveCalls(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 3)

        def forward(self, x):
            self.outs = [self.inner(part) for part in x.split((1, 2, 4, 8, 16))]
            return torch.cat(self.outs)

    torch.manual_seed(0)
    model = FiveCalls().double()
    x = torch.randn(31, 3, dtype=torch.float64) + torch.arange(31).double()[:, None]  # means far apart
    (row,) = record(model, x)
    z = model(x)
    (grads,) = torch.autograd.grad(z.square().mean(), z)
    z = z.detach()
    assert row["preactivation_norm"] == pytest.approx(float(z.norm()), rel=1e-12)
    assert row["preactivation_std"] == pytest.approx(float(z.std(correction=0)), rel=1e-12)
    assert row["activation_mean"] == pytest.approx(float(z.mean()), rel=1e-12)
    assert row["activation_std"] == pytest.approx(float(z.std(correction=0)), rel=1e-12)
    assert row["preactivation_grad_norm"] == pytest.approx(float(grads.norm()), rel=1e-12)


def test_unknown_layer_patterns_are_refused():
    with pytest.raises(ValueError, match="matches no layer"):
        Probe(nn.Linear(2, 2), every=1, full_every=1, last=0, layers=["blocks.*"])


def drawn(*shape, dtype=torch.float32):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("x", [
    drawn(64, 32), drawn(64, 32) * 1e-30, drawn(64, 32) * 1e30, torch.full((8, 8), 1e-44), torch.zeros(4, 4),
    1e3 + 1e-3 * drawn(64, 32), drawn(300, 300, dtype=torch.float64) * 1e-200,
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # the probe measures inside norms.quiet()
def test_host_and_device_gauges_agree_with_float64(x):
    wide = x.double()
    rms = float(norm := gauge_host.norm(x)) / x.numel() ** 0.5
    largest = float(wide.abs().max()) or 1.0
    exact = float((wide / largest).norm()) * largest
    assert norm == pytest.approx(exact, rel=1e-6, abs=0)
    assert float(gauge_device.norm(x)) == pytest.approx(exact, rel=1e-12, abs=0)
    for moments in (gauge_host.moments(x), gauge_device.moments(x)):
        assert float(moments[0]) == pytest.approx(exact, rel=1e-6, abs=0)
        assert float(moments[1]) == pytest.approx(float(wide.mean()), abs=1e-6 * rms)
        std = float(((wide - wide.mean()) / largest).norm()) * largest / x.numel() ** 0.5
        assert float(moments[2]) == pytest.approx(std, abs=1e-6 * rms)
    assert gauge_host.log_quantiles(x) == pytest.approx([float(q) for q in gauge_device.log_quantiles(x)], nan_ok=True)


TRAINED = ("train.steps=25", "model.depth=4", "model.width=32", "train.eval_every=20")


@pytest.mark.parametrize("parts", [
    (), ("normalization=batch_norm", "residual=identity"), ("residual=stochastic_depth", "optimizer=adam"),
    ("normalization=weight_norm", "clipping=norm"), ("residual=highway", "activation=prelu"),
    ("model.auxiliary_every=2", "residual=stochastic_depth", "normalization=weight_norm"),
    pytest.param(("model=cnn", "model.auxiliary_every=1", "normalization=batch_norm"), marks=pytest.mark.slow),
    ("initializer=lsuv", "residual=fixup"),
    pytest.param(("model=cnn", "residual=highway", "normalization=batch_norm"), marks=pytest.mark.slow),
    ("model=cnn", "residual=stochastic_depth", "model.shortcut=projection", "optimizer=adam"),
])  # fmt: skip
def test_recording_does_not_change_training(parts):
    digests = set()
    for probe in (("probe=off",), ("probe=default",), ("probe=full",), ("probe=default", "probe.every=7")):
        loop = assemble(compose_config(*parts, *TRAINED, *probe))
        list(loop.run())
        digest = hashlib.sha256()
        for name, value in sorted(loop.model.state_dict().items()):
            digest.update(name.encode() + value.numpy().tobytes())
        digests.add(digest.hexdigest())
    assert len(digests) == 1


def test_the_same_seed_writes_the_same_bytes(run):
    first, second, other = (run(*TRAINED, "probe=full", "train.steps=20", f"seed={seed}") for seed in (3, 3, 4))
    for name in ("gradients.csv", "metrics.csv"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()
        assert (first.folder / name).read_bytes() != (other.folder / name).read_bytes()


def test_a_diverging_step_is_recorded_whatever_the_interval(run):
    done = run("train.steps=50", "optimizer.lr=1e8", "probe.every=50", "model.depth=3", "model.width=16")
    last = done.metrics.iloc[-1]
    assert 0 < last.step < 49
    assert not torch.isfinite(torch.tensor(last.train_loss))
    assert (done.gradients.step == last.step).sum() == 4
