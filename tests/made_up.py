"""Runs made up for the drawings: the files of a run, without a network."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

GRADIENTS = (
    "step depth_index layer role preactivation_norm preactivation_std activation_mean activation_std activation_norm "
    "preactivation_grad_norm activation_grad_norm weight_norm weight_grad_norm update_norm update_ratio"
)
METRICS = "step epoch train_loss train_accuracy lr grad_norm clipped_grad_norm eval_loss eval_accuracy"


def write_table(path: Path, columns: str, rows: Sequence[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns.split(), restval="")
        writer.writeheader()
        writer.writerows(rows)


def make_run(
    folder: Path, *, hidden=5, steps=(0, 10, 20), gradient=lambda step, depth: 0.5**depth, spread=0.3, update=1e-3,
    loss=1.0, head=True, extra=(),
) -> Path:  # fmt: skip
    """Write the tables of a run of `hidden` layers and a head."""
    folder.mkdir(parents=True)
    rows = [
        {
            "step": step,
            "depth_index": depth,
            "layer": "head" if depth > hidden else f"layers.{depth - 1}",
            "role": "main",
            "preactivation_std": 0.9,
            "activation_std": 0.9 if depth > hidden else spread,
            "preactivation_grad_norm": gradient(step, depth),
            "update_ratio": update,
        }
        for step in steps
        for depth in range(1, hidden + 1 + head)
    ]
    write_table(folder / "gradients.csv", GRADIENTS, [*rows, *extra])
    losses = [{"step": step, "train_loss": loss, "lr": 0.1, "eval_loss": "" if step else 1.5} for step in steps]
    write_table(folder / "metrics.csv", METRICS, losses)
    (folder / "run.json").write_text(json.dumps({"hidden_layers": hidden}))
    return folder
