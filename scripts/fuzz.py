"""Search for tracebacks and lost rows: random configs, command lines, kills and damaged folders.

    uv run python scripts/fuzz.py --seed 0 --minutes 2
    uv run python scripts/fuzz.py --seed 7 --minutes 60 --kinds configs kills

Each kind has a share of the time and a number of cases after which it stops: 300 random configs, whose tables must be
whole; 400 command lines, each of which is composed or refused in one line; 40 runs that are killed and resumed, whose
tables must be those of an uninterrupted run; 300 damaged folders, explained and reported or refused in one line. A
fault is printed with its seed and what leads to it, and makes the exit code 1. The same seed draws the same cases.
"""

import argparse
import csv
import io
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from math import isnan
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.damage import copy_run, damage

import gradlab
from gradlab.api import explain
from gradlab.artifacts.record import read_run
from gradlab.cli import command
from gradlab.cli.report import remake
from gradlab.config.options import groups
from gradlab.config.paths import CONFIGS
from gradlab.config.schema import defaults, settings
from gradlab.errors import GradlabError

SMALL = ("train=smoke", "figures=false", "model.depth=3", "model.width=8", "train.checkpoint=false")
PARTS = ("activation", "initializer", "normalization", "residual", "clipping", "optimizer", "lr_scheduler", "model")
SHARE = {"folders": 0.3, "commands": 0.2, "configs": 0.35, "kills": 0.15}
CASES = {"folders": 300, "commands": 400, "configs": 300, "kills": 40}
KNOWN_ENDINGS = ("completed", "diverged")
WORDS = (
    "",
    "0",
    "-1",
    "1e400",
    "nan",
    "null",
    "[]",
    "{}",
    "[1,2",
    "'",
    "a b",
    "${x}",
    "\x1b[31m",
    "=",
    "1_000",
    "true",
    "é",
)


def config(random: Random, place: Path) -> str | None:
    """Do a run of random options; return what is wrong with its outcome."""
    options = groups([CONFIGS])
    words = [f"{group}={random.choice(list(options[group]))}" for group in random.sample(PARTS, random.randint(1, 4))]
    words += random.sample((*SMALL[2:4], "train.accumulate=2", "probe=full", "data=gaussian", "train.batch_size=7"), 2)
    words = [*SMALL, *words, f"seed={random.randrange(100)}"]
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            gradlab.run(*words, to=place / "run")
    except GradlabError as error:
        problem = wrong_line(str(error))
        return f"{' '.join(words)}: {problem}" if problem else None
    problem = wrong_tables(place / "run")
    return f"{' '.join(words)}: {problem}" if problem else None


def wrong_line(line: str) -> str | None:
    """Return what is wrong with a message of gradlab: more than a line, or an unexpected exception."""
    if "\n" in line or not line.strip():
        return f"not one line: {line!r}"
    unexpected = ("shows the traceback", "traceback in", "Traceback")
    return f"unexpected: {line}" if any(text in line for text in unexpected) else None


def wrong_tables(run: Path) -> str | None:
    """Return what is wrong with the tables of a finished run."""
    record = read_run(run)
    if record is None or record["status"] not in KNOWN_ENDINGS:
        return f"run.json: {record and record['status']}"
    with (run / "gradients.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    if steps != sorted(set(steps)) or (steps and record.get("steps", 0) < steps[-1] + 1):
        return f"metrics.csv: steps {steps} of {record.get('steps')}"
    if len(steps) != (record.get("metrics") or {}).get("recorded_steps"):
        return f"metrics.csv: {len(steps)} rows, run.json counts another number"
    keys = [(row["step"], row["depth_index"], row["layer"], row["role"]) for row in rows]
    if len(set(keys)) != len(keys):
        return "gradients.csv: a row is there twice"
    if not {int(row["step"]) for row in rows} <= set(steps):
        return "gradients.csv: a step that metrics.csv lacks"
    for row in rows:
        for name, cell in row.items():
            negative = name.endswith(("_norm", "_std", "_fraction", "_ratio")) and cell and float(cell) < 0
            if negative or (name.endswith("_fraction") and cell and not (float(cell) <= 1 or isnan(float(cell)))):
                return f"gradients.csv: {name} = {cell} at step {row['step']}"
    return None


def command_line(random: Random, place: Path) -> str | None:
    """Compose a command line of random settings; return what is wrong with its output."""
    keys = [key for key, _ in settings()]
    values = [*WORDS, *map(str, defaults())]
    words = [f"{random.choice(keys)}={random.choice(values)}" for _ in range(random.randint(1, 3))]
    if random.random() < 0.4:
        broken = list(random.choice(words))
        broken[random.randrange(len(broken))] = random.choice("=.,[]{}'\"$~+-@ \\")
        words.append("".join(broken))
    arguments = [*random.choice(([], ["-m"], ["--json"], ["--info"], ["--option"])), *words, "--cfg", "job"]
    out, errors = io.StringIO(), io.StringIO()
    sys.argv = ["gradlab", *arguments]
    try:
        with redirect_stdout(out), redirect_stderr(errors):
            command.main()
    except SystemExit as end:
        printed = errors.getvalue().strip()
        if end.code and "--json" not in arguments:
            problem = wrong_line(printed)
            return f"{arguments}: {problem}" if problem else None
    return None


def kill(random: Random, place: Path) -> str | None:
    """Kill a run at a random moment, resume it, and compare its tables with those of one that was not killed."""
    words = [
        *SMALL[1:4],
        "train.steps=300",
        "train.checkpoint_every=20",
        "probe.every=5",
        f"seed={random.randrange(9)}",
    ]
    program = [sys.executable, "-m", "gradlab.cli", *words]
    whole, cut = place / "whole", place / "cut"
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        gradlab.run(*words, to=whole)
    process = subprocess.Popen([*program, f"hydra.run.dir={cut}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (cut / "gradients.csv").exists():
        time.sleep(0.01)
    time.sleep(random.random() * 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run([*program, f"hydra.run.dir={cut}"], capture_output=True, text=True, check=False)
    if done.returncode or "Traceback" in done.stderr:
        return f"{' '.join(words)}: resumed with {done.returncode}: {done.stderr[-300:]}"
    for name in ("gradients.csv", "metrics.csv"):
        if (whole / name).read_bytes() != (cut / name).read_bytes():
            return f"{' '.join(words)}: {name} of the killed run differs"
    return None


class Folders:
    """Damaged folders of a run that is done once."""

    def __init__(self) -> None:
        self.whole: Path | None = None

    def __call__(self, random: Random, place: Path) -> str | None:
        """Explain and report a damaged folder; return what is wrong with the messages."""
        if self.whole is None:
            self.whole = Path(tempfile.mkdtemp())
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                gradlab.run(*SMALL, to=self.whole / "run")
        done = damage(copy_run(self.whole / "run", place / "run"), random)
        try:
            runs, broken = explain.read([place / "run"])
            lines = [*explain.in_words(runs), *broken.values()]
            if random.random() < 0.1:  # figures take a second
                lines += remake([place / "run"])[1].values()
        except GradlabError as error:
            lines = [str(error)]
        wrong = [line for line in lines if "\n" in line or "a file is damaged (" in line]
        return f"{done}: {wrong[0]}" if wrong else None


def search(kind: str, attempt: Callable[[Random, Path], str | None], *, seed: int, seconds: float, cases: int) -> int:
    """Try cases of a kind until the time or the cases are over, print each fault, and return how many there were."""
    faults, case, end = 0, 0, time.monotonic() + seconds
    while case < cases and time.monotonic() < end:
        place = Path(tempfile.mkdtemp(prefix="gradlab-fuzz-"))
        try:
            problem = attempt(Random(f"{kind}-{seed}-{case}"), place)
        except Exception:
            problem = traceback.format_exc()
        finally:
            shutil.rmtree(place, ignore_errors=True)
        if problem:
            faults += 1
            print(f"{kind} {case} (seed {seed}): {problem}", flush=True)
        case += 1
    print(f"{kind}: {case} cases, {faults} faults", flush=True)
    return faults


def main() -> None:
    """Search for faults as the command line asks.

    Raises:
        SystemExit: With 1 if a fault was found.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--kinds", nargs="+", choices=list(CASES), default=list(CASES))
    arguments = parser.parse_args()
    command.WANTS_TRACEBACK = False
    attempts = {"folders": Folders(), "commands": command_line, "configs": config, "kills": kill}
    whole = sum(SHARE[kind] for kind in arguments.kinds)
    faults = 0
    for kind in arguments.kinds:
        seconds = 60 * arguments.minutes * SHARE[kind] / whole
        faults += search(kind, attempts[kind], seed=arguments.seed, seconds=seconds, cases=CASES[kind])
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
