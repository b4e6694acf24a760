"""Cost of gradlab-report: seconds, memory and size of the report over many made-up runs in a temporary folder.

    uv run python scripts/bench_report.py [--runs 1000] [--layers 20] [--recorded 61]

Each made-up run has the files of a real one: gradients.csv with all its columns, metrics.csv, run.json and .hydra.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

import yaml

from gradlab.artifacts.atomic import write_json
from gradlab.artifacts.tables import METRICS, Table
from gradlab.probe.columns import COLUMNS

ACTIVATIONS = ("sigmoid", "tanh", "relu", "gelu", "selu")
INITIALIZERS = ("default", "xavier_normal", "kaiming_normal", "orthogonal")


def fake_run(run: Path, overrides: list[str], *, layers: int, recorded: int, noise: random.Random) -> None:
    """Write the files of a run, of realistic size and with a gradient that shrinks with depth."""
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides), encoding="utf-8")
    choices = {"activation": "relu", "initializer": "kaiming_normal"}
    for name, content in (("config", {"figures": True}), ("hydra", {"hydra": {"runtime": {"choices": choices}}})):
        (run / ".hydra" / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    shrink = noise.uniform(0.2, 1.1)
    gradients, metrics = Table(run / "gradients.csv", COLUMNS), Table(run / "metrics.csv", METRICS)
    for step in range(0, 10 * recorded, 10):
        for depth in range(1, layers + 2):
            name = "head" if depth > layers else f"blocks.{depth - 1}.0.affine"
            norms = [shrink ** (layers - depth) * noise.uniform(0.9, 1.1) for _ in COLUMNS[4:]]
            gradients.write([(step, depth, name, "main", *norms)])
        metrics.write([(step, step / 20, *(noise.random() for _ in METRICS[2:]))])
    gradients.close()
    metrics.close()
    ratio = shrink**layers
    found = {"train_loss": noise.random(), "eval_loss": noise.random(), "eval_accuracy": noise.random()}
    found |= {f"gradient_ratio_{when}": ratio for when in ("initial", "final")}
    name = "vanishing" if ratio < 0.01 else "healthy"
    verdicts = [
        {"when": when, "step": 0, "name": name, "sentence": f"gradients: {name}"} for when in ("initial", "final")
    ]
    record = {"status": "completed", "seed": 0, "steps": 10 * recorded, "seconds": 2.0, "hidden_layers": layers}
    write_json(run / "run.json", record | {"metrics": found, "verdicts": verdicts})


def fake_sweep(folder: Path, *, runs: int, layers: int, recorded: int) -> None:
    """Write the runs of a sweep over activation, initializer, depth and seed."""
    noise = random.Random(0)
    configs = product(range(runs), (max(2, layers // 4), layers // 2, layers), INITIALIZERS, ACTIVATIONS)
    for number, (seed, depth, initializer, activation) in zip(range(runs), configs, strict=False):
        overrides = [f"activation={activation}", f"initializer={initializer}", f"model.depth={depth}", f"seed={seed}"]
        fake_run(folder / f"run{number:04}", overrides, layers=depth, recorded=recorded, noise=noise)


def main() -> None:
    """Write a made-up sweep, report on it, and print the cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--layers", type=int, default=20, help="hidden layers of the deepest third")
    parser.add_argument("--recorded", type=int, default=61, help="recorded steps of a run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "sweep")
        fake_sweep(folder, runs=args.runs, layers=args.layers, recorded=args.recorded)
        bytes_in = sum(path.stat().st_size for path in folder.rglob("*.csv"))
        code = (
            "import json, resource, time; began = time.perf_counter()\n"
            "from pathlib import Path; from gradlab.cli.report import remake\n"
            f"page, broken = remake([Path({str(folder)!r})])\n"
            "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
            "size = page.stat().st_size / 1e6\n"
            "print(json.dumps([time.perf_counter() - began, peak, size, len(broken)]))"
        )
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    seconds, peak, size, broken = json.loads(done.stdout)
    print(f"{args.runs} runs, {bytes_in / 1e6:.0f} MB of tables: {seconds:.1f} s, {peak:.0f} MiB, ", end="")
    print(f"report.html {size:.2f} MB, {broken} broken")


if __name__ == "__main__":
    main()
