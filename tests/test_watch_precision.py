"""`gradlab.watch` under autocast and a gradient scaler: the recorded gradients are those of the unscaled loss."""

import numpy as np
import pytest
import torch
from torch import nn

import gradlab
from gradlab.probe.columns import COLUMNS, FIGURES
from gradlab.probe.unscale import unscaled
from tests.support.watching import batch, rows, small


@pytest.mark.parametrize("update_last", [False, True])
def test_recorded_gradients_are_divided_by_the_scale(tmp_path, update_last):
    def fit(folder, *, scale, passed):
        model = small()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        # The scale grows at every step, so each must be divided by its own.
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1, growth_factor=4, enabled=scale > 1)
        x, y = batch()
        with gradlab.watch(model, every=1, full_every=1, to=folder, scaler=scaler if passed else None) as probe:
            for _ in range(3):
                optimizer.zero_grad()
                scaler.scale(nn.functional.cross_entropy(model(x), y)).backward()
                scaler.step(optimizer)
                if update_last:
                    probe.step()
                    scaler.update()
                else:
                    scaler.update()
                    probe.step()
        return rows(folder)

    plain, scaled, not_passed = (
        fit(tmp_path / str(i), scale=scale, passed=passed)
        for i, (scale, passed) in enumerate([(1.0, True), (1024.0, True), (1024.0, False)])
    )
    columns = [name for name in FIGURES if plain[name].notna().any()]
    np.testing.assert_allclose(scaled[columns], plain[columns], rtol=1e-4)
    assert (not_passed.preactivation_grad_norm / plain.preactivation_grad_norm).tolist() == pytest.approx(
        [1024.0] * 3 + [4096.0] * 3 + [16384.0] * 3, rel=1e-4
    )


def test_figures_under_autocast_are_those_of_the_bfloat16_tensors(tmp_path):
    with gradlab.watch(model := small(), every=1, full_every=1, to=tmp_path) as probe:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        x, y = batch()
        with torch.autocast("cpu", torch.bfloat16):
            outputs = model(x)
        nn.functional.cross_entropy(outputs.float(), y).backward()
        optimizer.step()
        probe.step()
    table = rows(tmp_path)
    assert (table[["preactivation_norm", "preactivation_grad_norm", "weight_grad_norm", "update_norm"]] > 0).all(
        axis=None
    )
    assert table.preactivation_norm.iloc[-1] == pytest.approx(outputs.float().norm().item(), rel=1e-3)


def test_unscaled_divides_gradients_and_nothing_else():
    row = tuple(float(i) for i in range(len(COLUMNS)))
    (divided,) = unscaled([row], 100.0)
    changed = {name for name, x, y in zip(COLUMNS, row, divided, strict=True) if x != y}
    norms = {"preactivation_grad_norm", "activation_grad_norm", "weight_grad_norm", "skip_grad_norm"}
    assert changed == norms | {f"grad_log10_p{q}" for q in (5, 50, 95)}
    assert divided[COLUMNS.index("grad_log10_p50")] == row[COLUMNS.index("grad_log10_p50")] - 2
    assert unscaled([(None, *row[1:])], 100.0)[0][0] is None


@pytest.mark.cuda
def test_float16_on_a_gpu_is_recorded_without_the_scale(tmp_path):
    def fit(folder, *, half):
        model = small().cuda()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cuda", enabled=half)
        x, y = (t.cuda() for t in batch())
        with gradlab.watch(model, every=1, full_every=1, to=folder, scaler=scaler) as probe:
            for _ in range(3):
                optimizer.zero_grad()
                with torch.autocast("cuda", torch.float16, enabled=half):
                    loss = nn.functional.cross_entropy(model(x), y)
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                probe.step(loss)
        return rows(folder)

    half, whole = fit(tmp_path / "half", half=True), fit(tmp_path / "whole", half=False)
    columns = ["preactivation_norm", "preactivation_grad_norm", "weight_grad_norm", "update_norm"]
    np.testing.assert_allclose(half[columns], whole[columns], rtol=0.05)
