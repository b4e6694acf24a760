"""Runs made up for the drawings: the files of a run, without a network."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from gradlab.diagnosis.remedies import Remedy
from gradlab.sweep.remedies.plan import BASE, Command, Trial, alone, write_plan

GRADIENTS = (
    "step depth_index layer role preactivation_norm preactivation_std activation_mean activation_std activation_norm "
    "preactivation_grad_norm activation_grad_norm weight_norm weight_grad_norm update_norm update_ratio"
)
STUDY = Command(arguments=["activation=sigmoid", "optimizer.lr=0.5"], seeds=[7, 8], shared=["train.steps=30"])
WHEN = ("initial", "final")
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


def make_sweep(
    folder: Path, overrides: Sequence[Sequence[str]], *, accuracy=lambda number: 0.5, ratio=lambda number: 1.0,
    status=lambda number: "completed", hidden=lambda number: 5, **shape,
) -> list[Path]:  # fmt: skip
    """Write the runs of a sweep, one for each list of overrides, and return their folders."""
    made = []
    for number, texts in enumerate(overrides):
        run = make_run(folder / f"run{number}", hidden=hidden(number), **shape)
        write_config(run, texts, job=number)
        seed = next((int(text[5:]) for text in texts if text.startswith("seed=")), 0)
        name = "vanishing" if ratio(number) < 0.01 else "healthy"
        metrics = {"train_loss": 0.4, "eval_loss": 0.5, "eval_accuracy": accuracy(number)}
        metrics |= {f"gradient_ratio_{when}": ratio(number) for when in WHEN}
        metrics |= {f"decades_per_layer_{when}": 0.1 for when in WHEN}
        verdicts = [
            {"when": when, "step": 0, "over": "depth", "name": name, "sentence": f"{name} it is"}
            for when in ("initial", "final")
        ]
        record = {"status": status(number), "seed": seed, "steps": 21, "seconds": 1.5, "hidden_layers": hidden(number)}
        failed = {"error": "it broke"} if status(number) == "failed" else {"metrics": metrics, "verdicts": verdicts}
        (run / "run.json").write_text(json.dumps(record | failed))
        made.append(run)
    return made


def write_config(run: Path, overrides: Sequence[str], *, job: int = 0) -> None:
    """Write what Hydra keeps of a run, with its number in the sweep."""
    (run / ".hydra").mkdir(parents=True)
    # JSON is YAML
    (run / ".hydra" / "overrides.yaml").write_text(json.dumps(list(overrides)))
    config = {"figures": True, "model": {"depth": 10, "width": 128}, "activation": {"_target_": "torch.nn.ReLU"}}
    (run / ".hydra" / "config.yaml").write_text(json.dumps(config))
    hydra = f"hydra:\n  job:\n    name: gradlab\n    num: {job}\n  runtime:\n    choices:\n      activation: relu\n"
    (run / ".hydra" / "hydra.yaml").write_text(hydra)


def remedy(name: str, *overrides: str, strategy: str | None = None) -> Remedy:
    return Remedy(name=name, overrides=overrides, strategy=strategy or name, reason=f"{name} helps", source="",
                  against=frozenset())  # fmt: skip


def make_study(folder: Path, *, losses: Mapping[str, Sequence[float]], guessing: float | None = None) -> list[Trial]:
    """Write the runs of a remedies sweep with given losses by remedy and seed; nan is a run that diverged."""
    remedies = [remedy(name, f"x={name}") for name in losses if name != BASE]
    trials, lines = alone(STUDY, remedies)
    write_plan(folder, STUDY, trials)
    for trial in trials:
        for place, name in enumerate(trial.folders):
            loss = losses[trial.name][place]
            run = make_run(folder / name, loss=loss, gradient=lambda step, depth: 0.1**depth)
            metrics = {"train_loss": loss, "eval_loss": None, "eval_accuracy": 0.5, "gradient_ratio_final": 1.0}
            metrics["gradient_ratio_initial"] = 1e-6 if trial.name == BASE else 100.0
            record = {"status": "completed" if loss == loss else "diverged", "seed": STUDY.seeds[place], "steps": 21,
                      "seconds": 2.1 if trial.name == BASE else 4.2, "hidden_layers": 5, "metrics": metrics,
                      "chance": {"loss": guessing, "accuracy": None}, "verdicts": []}  # fmt: skip
            (run / "run.json").write_text(json.dumps(record).replace("NaN", '"nan"'))
            write_config(run, lines[trials.index(trial) * 2 + place])
    return trials
