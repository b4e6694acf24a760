"""Evaluate the diagnosis on labelled configs: faults found, missed and wrongly flagged, and root causes.

    uv run python scripts/bench_diagnosis.py [--held-out] [--seeds 0 1 2] [--only TEXT] [--keep DIR]

Each config is trained in this process, and `bears_out` checks its label against the outcome. A run that contradicts its
label is listed and left out. The exit code is 1 if a faulty run is missed, a healthy one is flagged, or more than 3% of
the root causes are wrong.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from bench_cases import CASES, HELD_OUT, Case
from gradlab.config import schema
from gradlab.config.hydra_compat import INITIALIZE_OPTIONS
from gradlab.config.paths import CONFIGS
from gradlab.run.execute import execute

ASKED = 0.97  # share of the faulty runs whose root cause is named
LEARNS, FAILS = 0.6, 0.4  # bounds on the test set: 0 is chance, 1 is perfect


def main() -> None:
    """Run all configs and print a line for each mistake, then the tally of each root cause."""
    sys.path.insert(0, str(Path(__file__).parent))  # the configs name functions of bench_cases
    options = _parser().parse_args()
    cases = [case for case in (HELD_OUT if options.held_out else CASES) if options.only in case.overrides]
    tally: dict[str, Counter[str]] = {}
    began = time.monotonic()
    for case, seed, record in _records(cases, options.seeds, options.keep):
        outcome = judge(case, record)
        tally.setdefault(" or ".join(case.causes) or "healthy", Counter())[outcome] += 1
        if outcome != "right":
            print(f"{outcome}: {case.overrides} seed={seed}: {described(record)}", flush=True)
    sys.exit(not _print(tally, seconds=time.monotonic() - began, configs=len(cases)))


def judge(case: Case, record: dict[str, Any]) -> str:
    """Return ``right, missed, false flag, wrong cause``, or ``not borne out`` for a run that contradicts its label.

    Args:
        case: A labelled config.
        record: Content of its run.json.
    """
    if not bears_out(case, record):
        return "not borne out"
    named = [verdict["name"] for verdict in record["verdicts"] if verdict["root_cause"]]
    if not case.causes:
        return "false flag" if named else "right"
    return "missed" if not named else "right" if named[0] in case.causes else "wrong cause"


def bears_out(case: Case, record: dict[str, Any]) -> bool:
    """Whether the training succeeded for a config without a fault, and failed for one with a fault.

    Success is measured on the test set, which the diagnosis does not use. For untrained nets there is no outcome.
    """
    metrics = record["metrics"]
    if metrics["eval_loss"] is None or "nan" in str(metrics["eval_loss"]):
        return bool(case.causes) or metrics["eval_loss"] is None
    chance, accuracy = float(record["chance"]["loss"]), metrics["eval_accuracy"]
    if accuracy is None or "copy_memory" in case.overrides:  # its blanks alone give a high accuracy
        reached = 1 - float(metrics["eval_loss"]) / chance
    else:
        reached = (accuracy - 0.1) / 0.9
    if record["status"] == "diverged":
        return bool(case.causes)
    return reached <= FAILS if case.causes else reached >= LEARNS


def described(record: dict[str, Any]) -> str:
    """Return a run's outcome and its diagnosis in one line."""
    metrics = record["metrics"]
    named = [verdict["name"].upper() if verdict["root_cause"] else verdict["name"] for verdict in record["verdicts"]]
    end = f"{record['status']}, train loss {metrics['train_loss']}, accuracy {metrics['eval_accuracy']}"
    return f"{end}; {', '.join(dict.fromkeys(named))}"


def _records(
    cases: Sequence[Case], seeds: Sequence[int], keep: Path | None
) -> Iterator[tuple[Case, int, dict[str, Any]]]:
    schema.register()
    with tempfile.TemporaryDirectory() as scratch:
        for number, case in enumerate(cases):
            for seed in seeds:
                folder = (keep or Path(scratch)) / f"{number}-{seed}"
                folder.mkdir(parents=True, exist_ok=True)
                yield case, seed, run([*case.overrides.split(), f"seed={seed}"], folder)


def run(overrides: Sequence[str], folder: Path) -> dict[str, Any]:
    """Do a run without output, figures and checkpoint, and return its run.json."""
    quiet = ("figures=false", "train.checkpoint=false")
    with initialize_config_dir(str(CONFIGS), **INITIALIZE_OPTIONS), redirect_stdout(StringIO()):
        cfg = compose("config", overrides=[*overrides, *quiet], return_hydra_config=True)
        choices = dict(cfg.hydra.runtime.choices)
        with open_dict(cfg):
            del cfg.hydra
        execute(cfg, folder, choices=choices, brief=True)
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def _print(tally: dict[str, Counter[str]], *, seconds: float, configs: int) -> bool:
    """Print the tally, and return whether no fault was missed or wrongly flagged and enough root causes are right."""
    columns = ("right", "missed", "false flag", "wrong cause", "not borne out")
    print(f"\n| root cause | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for cause, counts in tally.items():
        print(f"| {cause} | {' | '.join(str(counts[column]) for column in columns)} |")
    whole = sum(tally.values(), Counter())
    healthy = tally.get("healthy", Counter())
    faulty = whole - healthy
    judged = faulty["right"] + faulty["wrong cause"] + faulty["missed"]
    share = faulty["right"] / judged if judged else 1.0
    print(
        f"\n{configs} configs, {whole.total()} runs in {seconds:.0f} s: "
        f"{whole['missed']} of {judged} faulty runs missed, "
        f"{healthy['false flag']} of {healthy['right'] + healthy['false flag']} healthy ones flagged, "
        f"root cause right in {100 * share:.1f}%; {whole['not borne out']} belied their label"
    )
    return not (whole["missed"] or whole["false flag"]) and share >= ASKED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", action="store_true", help="the configs that no threshold was chosen on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", default="", metavar="TEXT", help="configs whose overrides contain it")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where to keep the runs")
    return parser


if __name__ == "__main__":
    main()
