import json

import pytest

from gradlab.loggers.series import findings, flattened, layer_series, step_series
from gradlab.probe.columns import COLUMNS


def row(depth, layer, role="main", **figures):
    return tuple({"step": 3, "depth_index": depth, "layer": layer, "role": role, **figures}.get(c) for c in COLUMNS)


NET = [row(d, f"blocks.{d}.0.affine", preactivation_grad_norm=d / 7) for d in range(1, 31)]


def test_series_are_named_and_numbered_by_layer():
    rows = [row(2, "blocks.0.0.affine", preactivation_grad_norm=0.25, update_ratio=1e-3),
            row(2, "blocks.0.gate.affine", role="gate", preactivation_grad_norm=0.5)]  # fmt: skip
    assert layer_series(rows, columns=["preactivation_grad_norm", "update_ratio"], layers=8) == {
        "gradient_norm/02_blocks.0.0.affine": 0.25,
        "gradient_norm/02_blocks.0.gate.affine.gate": 0.5,
        "update_ratio/02_blocks.0.0.affine": 1e-3,
    }


@pytest.mark.parametrize("layers", [2, 3, 8, 29, 30, 40])
def test_few_layers_are_spread_over_the_depth(layers):
    names = list(layer_series(NET, columns=["preactivation_grad_norm"], layers=layers))
    assert len(names) == max(3, min(layers, 30))  # never without the first, the last hidden one and the head
    assert [names[0][14:16], names[-2][14:16], names[-1][14:16]] == ["01", "29", "30"]


def test_all_layers_are_there_on_request():
    assert len(layer_series(NET, columns=["preactivation_grad_norm"], layers=0)) == 30
    assert layer_series([], columns=["preactivation_grad_norm"], layers=8) == {}


def test_what_was_not_measured_is_left_out():
    assert step_series({"step": 4, "train_loss": 0.5, "eval_loss": None, "lr": float("inf")}) == {
        "train_loss": 0.5,
        "lr": float("inf"),
    }


def test_configs_are_flattened():
    config = {"seed": 0, "model": {"depth": 3, "bias": True, "parts": {"betas": [0.9, 0.99]}}, "name": None}
    assert flattened(config) == {"seed": 0, "model.depth": 3, "model.bias": True, "model.parts.betas": "[0.9, 0.99]",
                                 "name": "null"}  # fmt: skip


def test_findings_are_numbers_and_sentences():
    record = json.loads("""{"status": "completed", "steps": 20, "fingerprint": "f", "metrics": {"eval_loss": null,
        "gradient_ratio_initial": 0.5}, "verdicts": [{"when": "initial", "sentence": "gradients are healthy"}],
        "lr_range": {"suggestion": 0.1}}""")
    assert findings(record) == {"status": "completed", "steps": 20, "gradient_ratio_initial": 0.5,
                                "verdict_initial": "gradients are healthy", "lr_range.suggestion": 0.1}  # fmt: skip
