"""Overhead of a run in a sweep besides its training: composing, building, writing, and its share of the drawing.

    uv run python scripts/bench_sweep.py [--runs 12]

Runs a sweep of small runs in this process by the command line, with a clock around each part. Prints medians over all
runs but the first, which includes the imports.
"""

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from gradlab import cli
from gradlab.artifacts.record import load_run
from gradlab.config import build
from gradlab.run import checkpoint, console, execute
from gradlab.run.execute import run
from gradlab.run.history import History
from gradlab.sweep import rebuild, summary

SPENT: dict[str, list[float]] = defaultdict(list)
PARTS: dict[str, list[tuple[Any, str]]] = {
    "building": [
        (build, "check"), (execute, "compute_fingerprint"), (execute, "foreign_sources"), (execute, "assemble"),
        (execute, "describe_environment"),
    ],
    "writing": [
        (History, "__init__"), (History, "close"), (execute, "write_run"), (checkpoint, "save"), (summary, "add_run"),
        (console, "summarize"),
    ],
    "drawing": [(rebuild, "rebuild")],
}  # fmt: skip


def timed(function: Callable[..., Any], part: str) -> Callable[..., Any]:
    """Wrap a function with a clock."""

    def call(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            SPENT[part].append(time.perf_counter() - began)

    return call


def run_with_marks(cfg: Any, **kwargs: Any) -> float | None:
    """Do a run, and record its start and end, between which and the next run Hydra composes."""
    SPENT["begun"].append(time.perf_counter())
    marks = {part: len(SPENT[part]) for part in PARTS}
    value = EXECUTE(cfg, **kwargs)
    SPENT["ended"].append(time.perf_counter())
    for part, mark in marks.items():
        SPENT[f"{part} in a run"].append(sum(SPENT[part][mark:]))
    return value


EXECUTE = run


def main() -> None:
    """Run the sweep and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--runs", type=int, default=12)
    number = parser.parse_args().runs
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        for part, functions in PARTS.items():
            for owner, name in functions:
                stack.enter_context(patch.object(owner, name, timed(getattr(owner, name), part)))
        stack.enter_context(patch.object(execute, "run", run_with_marks))
        seeds = ",".join(map(str, range(number)))
        arguments = ["gradlab", "-m", "train=smoke", f"seed={seeds}", f"hydra.sweep.dir={scratch}/sweep"]
        stack.enter_context(patch.object(sys, "argv", arguments))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        with contextlib.suppress(SystemExit):
            cli.main()
        records = [load_run(path.parent) for path in Path(scratch).glob("sweep/*/run.json")]
    training = statistics.median(record.get("seconds", 0.0) for record in records)
    rows = {name: statistics.median(SPENT[f"{name} in a run"][1:]) for name in ("building", "writing")}
    between = [later - sooner for later, sooner in zip(SPENT["begun"][1:], SPENT["ended"], strict=False)]
    rows = {"composing, and Hydra": statistics.median(between), **rows}
    for name, seconds in {**rows, "together": sum(rows.values()), "training": training}.items():
        print(f"{name:22}{seconds:8.3f} s a run")
    print(f"{'drawing and report':22}{sum(SPENT['drawing']):8.3f} s, once for {number} runs")


if __name__ == "__main__":
    main()
