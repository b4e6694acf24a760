"""timesteps.csv and the rows of recurrent layers in gradients.csv, from runs."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from tests.support.running import compose_config

from gradlab.run.assemble import assemble

SMALL = ("data=adding", "data.length=12", "data.test_samples=8", "model.width=6", "train.batch_size=5")


def times(done):
    return pd.read_csv(done.folder / "timesteps.csv")


def unrolled(*overrides):
    """Return the loop before its first step, the first batch, its unrolled passes and their loss."""
    loop = assemble(compose_config(*overrides, "train.steps=1", "probe=off"))
    state = loop.batches.state_dict()
    inputs, targets = next(loop.batches)
    loop.batches.load_state_dict(state)
    with loop.model.unrolled() as tape:
        loss = loop.task.loss(loop.model(inputs), targets)
    return loop, inputs, tape, loss


@pytest.mark.parametrize("model", ["rnn", "lstm", "gru"])
def test_the_files_agree_with_autograd(run, model):
    config = (*SMALL, f"model={model}", "model.depth=2", "train.dtype=float64")
    done = run(*config, "train=init")
    _, _, tape, loss = unrolled(*config)
    table, rows = times(done), done.gradients
    keys = ["step", "depth_index", "layer", "time", "hidden_norm", "hidden_grad_norm"]
    assert list(table.columns) == keys + ["cell_norm", "cell_grad_norm"] * (model == "lstm")
    assert list(table.time) == [*range(12)] * 2
    assert list(rows.layer) == ["stem.input", "stem.recurrent", "blocks.0.0.input", "blocks.0.0.recurrent", "head"]
    assert list(rows.role) == ["main", "recurrent"] * 2 + ["main"]
    assert list(rows.depth_index) == [1, 1, 2, 2, 3]
    for depth, seen in enumerate(tape, start=1):
        at = table[table.depth_index == depth]
        for name, nodes in (("hidden", seen.hidden), ("cell", seen.cell)):
            if not nodes:
                continue
            grads = torch.autograd.grad(loss, nodes, retain_graph=True)
            assert at[f"{name}_norm"].tolist() == pytest.approx(
                [float(h.detach().norm()) for h in nodes], rel=1e-9, abs=1e-12
            )
            assert at[f"{name}_grad_norm"].tolist() == pytest.approx([float(g.norm()) for g in grads], rel=1e-9)
        (dz,) = torch.autograd.grad(loss, seen.below, retain_graph=True)
        dh = torch.stack(torch.autograd.grad(loss, seen.hidden, retain_graph=True))
        h = torch.stack(seen.hidden).detach()
        for role in ("main", "recurrent"):
            row = rows[(rows.depth_index == depth) & (rows.role == role)].iloc[0]
            assert row.preactivation_norm == pytest.approx(float(seen.preactivations.norm()))
            assert row.preactivation_std == pytest.approx(float(seen.preactivations.std(correction=0)))
            assert row.preactivation_grad_norm == pytest.approx(float(dz.norm()))
            assert row.activation_norm == pytest.approx(float(h.norm()))
            assert row.activation_mean == pytest.approx(float(h.mean()), abs=1e-12)
            assert row.activation_grad_norm == pytest.approx(float(dh.norm()))
            assert row.grad_log10_p50 == pytest.approx(float(dz.abs().log10().nanquantile(0.5)), abs=1e-6)


def test_weight_columns_come_from_the_training_pass(run):
    config = (*SMALL, "model=gru", "train.dtype=float64", "optimizer=sgd", "optimizer.lr=0.5", "clipping=none")
    rows = run(*config, "train.steps=1").gradients.set_index("layer")
    loop = assemble(compose_config(*config, "train.steps=1", "probe=off"))
    before = {name: value.detach().clone() for name, value in loop.model.stem.weights.named_parameters()}
    list(loop.run())
    for layer, kind in (("stem.input", "weight_ih_l0"), ("stem.recurrent", "weight_hh_l0")):
        weight = getattr(loop.model.stem.weights, kind)
        assert rows.weight_norm[layer] == pytest.approx(float(before[kind].norm()))
        assert rows.weight_grad_norm[layer] == pytest.approx(float(weight.grad.norm()))
        assert rows.update_norm[layer] == pytest.approx(0.5 * float(weight.grad.norm()))
        cosine = torch.cosine_similarity(before[kind].flatten(), weight.grad.flatten(), dim=0)
        assert rows.weight_grad_cosine[layer] == pytest.approx(float(cosine))


def test_slopes_are_recorded_for_an_rnn_s_activation_but_not_for_gates(run):
    config = (*SMALL, "model=rnn", "train=init", "train.dtype=float64")
    row = run(*config).gradients.iloc[0]
    _, _, (seen,), _ = unrolled(*config)
    slope = 1 - seen.preactivations.tanh() ** 2
    assert row.activation_slope_rms == pytest.approx(float(slope.square().mean().sqrt()))
    assert row.saturated_fraction == pytest.approx(float((slope <= 0.01).double().mean()))
    assert row.dead_fraction == 0
    gated = run(*SMALL, "model=lstm", "train=init").gradients.iloc[0]
    assert gated[["activation_slope_rms", "saturated_fraction", "dead_fraction", "skip_grad_norm"]].isna().all()


BITS = [
    ("model=rnn",), ("model=lstm", "model.depth=2"), ("model=gru", "model.depth=3", "residual=stochastic_depth"),
    ("model=lstm", "normalization=layer_norm"), ("model=rnn", "activation=gelu", "model.depth=2"),
    ("model=gru", "data=copy_memory", "data.length=3"),
]  # fmt: skip


@pytest.mark.parametrize("overrides", BITS, ids=" ".join)
def test_recording_does_not_change_training_or_random_state(overrides):
    ends = []
    for probe in ("probe=off", "probe=full", "probe.every=2"):
        loop = assemble(compose_config(*SMALL, *overrides, "train.steps=5", "optimizer=adam", probe))
        list(loop.run())
        ends.append([*loop.model.state_dict().values(), torch.get_rng_state()])
    for other in ends[1:]:
        assert all(torch.equal(a, b) for a, b in zip(ends[0], other, strict=True))


def test_in_residual_blocks_h_is_the_block_s_output(run):
    rows = run(*SMALL, "model=gru", "model.depth=3", "residual=pre_activation", "train=init").gradients
    main = rows[rows.role == "main"].set_index("depth_index")
    assert main.skip_grad_norm.notna().tolist() == [False, True, True, False]
    # the gradient along an identity skip is that of the block's output
    assert main.skip_grad_norm[2] == pytest.approx(main.activation_grad_norm[2], rel=1e-6)


def test_metrics_and_verdicts_describe_the_gradient_over_time(run):
    done = run(*SMALL, "model=rnn", "train.steps=3", "recurrent_initializer.gain=0.1")
    record = json.loads((done.folder / "run.json").read_text())
    table = times(done)
    first = table[table.step == 0].hidden_grad_norm.to_numpy()
    metrics = record["metrics"]
    assert metrics["gradient_ratio_initial"] == metrics["gradient_ratio_final"] == 1
    assert metrics["decades_per_layer_initial"] is None
    assert metrics["time_gradient_ratio_initial"] == pytest.approx(first[0] / first[-1])
    slope = np.polyfit(range(12), np.log10(first), 1)[0]
    assert metrics["decades_per_time_step_initial"] == pytest.approx(slope)
    flow = [v for v in record["verdicts"] if v["over"] in ("depth", "time") and v["name"] != "short_memory"]
    assert [(v["over"], v["when"], v["name"]) for v in flow] == [
        ("depth", "initial", "shallow"), ("time", "initial", "vanishing"),
        ("depth", "final", "shallow"), ("time", "final", "vanishing"),
    ]  # fmt: skip
    assert "time step 0 receives" in record["verdicts"][1]["sentence"]
    assert record["hidden_layers"] == 1


def test_only_chosen_layers_have_time_steps(run):
    done = run(*SMALL, "model=gru", "model.depth=2", "train=init", "probe.layers=[blocks.*.recurrent]")
    assert set(times(done).layer) == {"blocks.0.0"}
    row = done.gradients.iloc[0]
    assert row.role == "recurrent"
    assert row.preactivation_grad_norm > 0


def test_a_diverged_step_is_unrolled_too(run):
    done = run(*SMALL, "model=rnn", "activation=relu", "train.steps=50", "optimizer=sgd", "optimizer.lr=1e9",
               "probe.every=40", "train.eval_every=0")  # fmt: skip
    record = json.loads((done.folder / "run.json").read_text())
    assert record["status"] == "diverged"
    assert times(done).step.max() == record["steps"] - 1 > 0
    assert not math.isfinite(times(done).hidden_norm.iloc[-1])
