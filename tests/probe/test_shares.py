"""The figures of deep supervision against an independent recomputation by torch.autograd.grad."""

import pandas as pd
import pytest
import torch
from tests.support.running import compose_config

from gradlab.probe.columns import COLUMNS, SHARES
from gradlab.run.assemble import assemble

SMALL = ("model.depth=6", "model.width=8", "model.auxiliary_every=2", "model.auxiliary_weight=0.7", "train.steps=1",
         "train.dtype=float64", "train.batch_size=16")  # fmt: skip


@pytest.mark.parametrize("parts", [
    (), ("normalization=weight_norm",), ("model=cnn", "residual=identity", "model.shortcut=projection"),
    ("model=cnn", "residual=highway", "normalization=batch_norm"),
])  # fmt: skip
def test_shares_and_totals_equal_an_independent_recomputation(parts):
    loop, same = (assemble(compose_config(*parts, *SMALL)) for _ in range(2))
    (metrics,) = list(loop.run())
    recording = loop.probe.take()
    rows = {row[2]: dict(zip(COLUMNS, row, strict=True)) for row in recording.layers}
    shares = [dict(zip(SHARES, row, strict=True)) for row in recording.shares]

    names = {module: name for name, module in same.model.named_modules()}
    outputs, weights, handles = {}, {}, []
    for affine in (point.affine for point in same.model.points()):
        name = names[affine]
        handles.append(affine.register_forward_hook(lambda m, a, z, name=name: outputs.update({name: z})))
        if torch.nn.utils.parametrize.is_parametrized(affine):
            keep = lambda m, a, w, name=name: weights.update({name: w})  # noqa: E731
            handles.append(affine.parametrizations.weight.register_forward_hook(keep))
        else:
            weights[name] = affine.weight
    inputs, targets = next(same.batches)
    outcome = same.model(inputs)
    main = same.task.loss(outcome.outputs, targets)
    heads = {name: same.task.loss(values, targets) for name, values in outcome.auxiliary.items()}
    total = main + 0.7 * sum(heads.values())

    def gradient(loss, x):
        return torch.autograd.grad(loss, x, retain_graph=True, allow_unused=True)[0]

    assert metrics["train_loss"] == pytest.approx(main.item())
    for name, row in rows.items():
        assert row["preactivation_grad_norm"] == pytest.approx(float(gradient(total, outputs[name]).norm()), rel=1e-9)
        assert row["weight_grad_norm"] == pytest.approx(float(gradient(total, weights[name]).norm()), rel=1e-9)
    expected = {
        (head, name): part
        for head, loss in heads.items() for name, weight in weights.items()
        if (part := gradient(0.7 * loss, weight)) is not None
    }  # fmt: skip
    assert {(row["head"], row["layer"]) for row in shares} == set(expected)
    for row in shares:
        part, whole = expected[row["head"], row["layer"]], gradient(main, weights[row["layer"]])
        assert row["depth_index"] == rows[row["layer"]]["depth_index"]
        assert row["loss"] == pytest.approx(heads[row["head"]].item())
        assert row["grad_norm"] == pytest.approx(float(part.norm()), rel=1e-9)
        cosine = float("nan") if whole is None else float((part * whole).sum() / part.norm() / whole.norm())
        assert row["grad_cosine"] == pytest.approx(cosine, abs=1e-9, nan_ok=True)


def test_losses_are_in_every_recorded_step_and_shares_in_full_ones(run):
    done = run("model.depth=6", "model.width=8", "model.auxiliary_every=2", "train.steps=31")
    table = pd.read_csv(done.folder / "auxiliary.csv")
    assert list(table.columns) == list(SHARES)
    assert sorted(table.step.unique()) == [0, 10, 20, 30]
    assert table.loss.notna().all()
    assert sorted(table[table.grad_norm.notna()].step.unique()) == [0, 30]
    assert len(table[table.step == 10]) == 2
    assert done.metrics.train_loss.notna().all()


def test_without_auxiliary_heads_there_is_no_table(run):
    assert not (run("model.depth=3", "train.steps=2").folder / "auxiliary.csv").exists()
