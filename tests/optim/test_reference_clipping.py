"""What each clipping did, recomputed from gradlab's own CSVs."""

import json

import numpy as np
import pytest
import torch

SMALL = ("model.depth=4", "model.width=16", "train.steps=60", "train.eval_every=0", "probe=full")


def norms(run, *overrides):
    done = run(*SMALL, *overrides)
    return done, done.metrics.grad_norm.to_numpy(), done.metrics.clipped_grad_norm.to_numpy()


def test_global_norm(run):
    _, before, after = norms(run, "clipping=norm", "clipping.max_norm=0.5")
    assert (before > 0.5).any()
    assert after == pytest.approx(before * np.minimum(1, 0.5 / (before + 1e-6)), rel=1e-6)


def test_normalize_and_centralize(run):
    assert norms(run, "clipping=normalize")[2] == pytest.approx(1, rel=1e-6)
    _, before, after = norms(run, "clipping=centralize")
    assert (after < before).all()


def test_per_layer(run):
    table = norms(run, "clipping=per_layer", "clipping.max_norm=0.1")[0].gradients
    assert (table.weight_grad_norm > 0.1).any()
    expected = np.minimum(table.weight_grad_norm, 0.1)
    assert table.clipped_weight_grad_norm.to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-5)


def test_adaptive_takes_every_layer_but_the_last_to_its_ratio(run):
    """With a ratio that every unit exceeds, the whole layer stands in that ratio to its weights."""
    table = norms(run, "clipping=adaptive", "clipping.clip=1e-9", "activation=tanh")[0].gradients
    table = table[table.step == 0].set_index("layer")
    ratio = table.clipped_weight_grad_norm / table.weight_norm
    assert ratio.drop("head").to_numpy() == pytest.approx(1e-9, rel=1e-5)
    assert table.clipped_weight_grad_norm["head"] == table.weight_grad_norm["head"]


def test_autoclip_is_the_percentile_of_the_logged_norms(run):
    _, before, after = norms(run, "clipping=autoclip")
    thresholds = [np.percentile(before[: t + 1], 10) for t in range(len(before))]
    assert after == pytest.approx(np.minimum(before, thresholds), rel=1e-5)


def test_zclip_follows_the_logged_norms(run):
    _, before, after = norms(run, "clipping=zclip", "clipping.z_threshold=1.5", "clipping.warmup_steps=10")
    mean, variance = before[:10].mean(), before[:10].var()
    assert (after[:10] == before[:10]).all()
    assert (after[10:] < before[10:]).any()
    for norm, clipped in zip(before[10:], after[10:], strict=True):
        z = (norm - mean) / variance**0.5
        expected = mean + 1.5 * variance**0.5 / (z / 1.5) if z > 1.5 else norm
        assert clipped == pytest.approx(expected, rel=1e-5)
        mean = 0.97 * mean + 0.03 * expected
        variance = 0.97 * variance + 0.03 * (expected - mean) ** 2


def test_the_summary_says_how_often_the_gradient_was_clipped(run, capsys):
    done, before, after = norms(run, "clipping=norm", "clipping.max_norm=0.5")
    clipped = int((after < before).sum())
    metrics = json.loads((done.folder / "run.json").read_text())["metrics"]
    assert (metrics["clipped_steps"], metrics["recorded_steps"]) == (clipped, 60)
    assert f"the gradient was clipped at {clipped} of 60 recorded steps" in capsys.readouterr().out
    done = run(*SMALL)
    assert json.loads((done.folder / "run.json").read_text())["metrics"]["clipped_steps"] == 0
    assert "clipped" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["autoclip", "zclip"])
def test_a_checkpoint_holds_what_the_rule_remembers(run, name):

    done, before, _ = norms(run, f"clipping={name}", "train.steps=5")
    state = torch.load(done.folder / "checkpoint.pt", weights_only=True)["clipping"]
    assert state["norms"].tolist() == pytest.approx(before.tolist())
