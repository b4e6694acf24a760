"""Groups of many runs, trained long enough for a difference to grow."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from tests.support.side_by_side import alone, parameter_distance, table_distance, together

NETS = {
    "mlp": ("normalization=batch_norm", "model.depth=6", "model.width=32", "train.batch_size=32"),
    "cnn": ("model=cnn", "residual=identity", "model.depth=6", "model.width=8", "train.batch_size=32"),
    "gru": ("model=gru", "data=adding", "data.length=20", "data.test_samples=50", "model.width=16"),
}
RATES = {"sgd": (0.01, 0.05), "adam": (0.001, 0.003), "rmsprop": (0.0003, 0.001)}
LONG = ("clipping=norm", "lr_scheduler=cosine", "train.steps=100", "train.eval_every=50")
SMALL = ("model.depth=6", "model.width=16", "train.batch_size=16", "train.eval_every=0", "optimizer=sgd")


@pytest.mark.slow
@pytest.mark.parametrize(("net", "optimizer"), list(product(NETS, RATES)))
def test_a_hundred_steps_in_a_group_end_where_they_end_alone(net, optimizer, tmp_path):
    """Parameters within 1e-5, each figure of gradients.csv within 1e-3 (a relu unit may switch within rounding)."""
    common = (*NETS[net], f"optimizer={optimizer}", *LONG, *(["optimizer.eps=0.001"] if optimizer != "sgd" else []))
    runs = [(*common, f"seed={seed}", f"optimizer.lr={rate}") for seed, rate in product((0, 1, 2), RATES[optimizer])]
    for one, other in zip(alone(tmp_path, runs), together(tmp_path, runs), strict=True):
        assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}
        assert parameter_distance(one, other) <= 1e-5
        assert table_distance(one, other, "gradients.csv").max() < 1e-3


@pytest.mark.slow
def test_one_diverging_run_of_sixty_four_is_recorded_and_changes_no_bit_of_the_others(tmp_path):
    def runs(rate):
        return [(*SMALL, "train.steps=60", f"seed={i}", f"optimizer.lr={rate if i == 20 else 0.02}") for i in range(64)]

    usual, diverging = together(tmp_path / "usual", runs(0.02)), together(tmp_path / "diverging", runs(1e6))
    status = [json.loads((folder / "run.json").read_text())["status"] for folder in diverging]
    assert [i for i, how in enumerate(status) if how != "completed"] == [20]
    assert status[20] == "diverged"
    for i in (i for i in range(64) if i != 20):
        for name in ("gradients.csv", "metrics.csv"):
            assert (usual[i] / name).read_bytes() == (diverging[i] / name).read_bytes()
        models = [
            torch.load(folder / "checkpoint.pt", weights_only=True)["model"] for folder in (usual[i], diverging[i])
        ]
        assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    picked = (0, 19, 20, 21, 63)
    for one, i in zip(alone(tmp_path / "own", [runs(1e6)[i] for i in picked]), picked, strict=True):
        assert parameter_distance(one, diverging[i]) <= 1e-5
        assert table_distance(one, diverging[i], "gradients.csv").max() < 1e-4


@pytest.mark.slow
def test_four_hundred_seeds_differ_as_separate_runs_do(tmp_path):
    """The log gradient norm of layer 1 at step 0: no two alike, and spread as over runs on their own."""

    def runs(count, first=0):
        return [(*SMALL, "train.steps=2", f"seed={first + i}") for i in range(count)]

    def logs(folders):
        tables = [pd.read_csv(folder / "gradients.csv") for folder in folders]
        return np.log([table.preactivation_grad_norm[0] for table in tables])

    found = logs(together(tmp_path, runs(400)))
    assert len(set(found)) == 400
    own = logs(alone(tmp_path, runs(60, first=1000)))
    # F-test of equal variances, two-sided at 1e-4: the quantile of F(399, 59) and of its inverse
    assert 0.498 < found.var(ddof=1) / own.var(ddof=1) < 2.377
