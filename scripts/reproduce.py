"""Run the experiments of configs/experiment and compare what their files say with what was published.

    uv run python scripts/reproduce.py [--quick | NAME ...] [--list]

Each goes through gradlab's own command line into outputs/reproduce/NAME; what is finished there already is not run
again, so a call that was cut off goes on when it is given again. All of them write docs/results.md; --quick runs small
versions, in minutes, and writes its page to outputs/reproduce/quick. Exit code 1 if a figure is not as expected.
"""

import argparse
import contextlib
import datetime
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from gradlab import cli
from gradlab.artifacts.folders import find_runs
from gradlab.artifacts.record import read_run
from gradlab.cli.help import description
from gradlab.config.paths import CONFIGS
from gradlab.errors import GradlabError
from gradlab.reproduce import claims, results
from gradlab.reproduce.claims import OUTSIDE, Expectation

ROOT = Path(__file__).resolve().parents[1]
RECIPES = CONFIGS / "experiment"
GIB = 2**30


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments; by default all")
    parser.add_argument("--quick", action="store_true", help="small versions, a few minutes in all")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument("--into", type=Path, default=ROOT / "outputs" / "reproduce", help="folder of the runs")
    parser.add_argument("--page", type=Path, help="the page to write")
    arguments = parser.parse_args()
    known = claims.read_all(RECIPES)
    if unknown := [name for name in arguments.names if name not in known]:
        parser.error(f"no experiment {unknown[0]} with expected figures; there are {', '.join(known)}")
    if arguments.list:
        print(*(f"{name:24}{command(name, ())}" for name in known), sep="\n")
        return
    chosen = [known[name] for name in arguments.names or known if not arguments.quick or known[name].quick is not None]
    if not chosen:
        parser.error(f"{', '.join(arguments.names)} has no small version; leave out --quick")
    folder = arguments.into / "quick" if arguments.quick else arguments.into
    done = [attempt(one, folder / one.name, quick=arguments.quick, named=one.name in arguments.names) for one in chosen]
    whole = len(chosen) == len(known)
    what = "Every experiment" if whole else "The small versions (`--quick`)" if arguments.quick else "Some experiments"
    page = arguments.page or (ROOT / "docs" / "results.md" if whole else folder / "results.md")
    text = results.page(done, title=f"{what}. Written by `scripts/reproduce.py`.", machine=machine(folder))
    page.write_text(text, encoding="utf-8")
    print(page)
    sys.exit(any(result.failed or any(out.verdict == OUTSIDE for out in result.outcomes) for result in done))


def command(name: str, overrides: Sequence[str]) -> str:
    """Return the command that runs an experiment: the recipe's first comment, and overrides."""
    words, _, _ = description(RECIPES / f"{name}.yaml").partition(": ")
    return " ".join([words, *overrides])


def missing(expectation: Expectation) -> str:
    """Return what an experiment lacks here; empty where it can be run."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    return expectation.needs or (f"{expectation.memory:g} GiB" if expectation.memory > free else "")


def attempt(expectation: Expectation, folder: Path, *, quick: bool, named: bool) -> results.Result:
    """Run an experiment if that is possible here, or if it was asked for by name; one that fails stops no other."""
    line = command(expectation.name, ())
    if not named and (lacking := missing(expectation)):
        return results.Result(expectation=expectation, command=line, skipped=lacking)
    try:
        return reproduce(expectation, folder, quick=quick)
    except GradlabError as error:
        print(f"  FAILED: {error}", flush=True)
        return results.Result(expectation=expectation, command=line, failed=str(error))


def reproduce(expectation: Expectation, folder: Path, *, quick: bool) -> results.Result:
    """Run an experiment and measure its figures.

    Args:
        expectation: What is expected of it.
        folder: Where its runs are or go.
        quick: Whether to run the small version, and to measure what that can show.

    Raises:
        GradlabError: A run failed, or left no such figure.
    """
    overrides = list(expectation.quick or ()) if quick else []
    line = command(expectation.name, overrides)
    print(line, flush=True)
    began = time.time() - 1  # file systems keep times less exactly than the clock
    run(line.split(), folder)
    # A folder may hold runs of an earlier version of the recipe too.
    found = [path for path in find_runs(folder) if (path / ".hydra" / "hydra.yaml").stat().st_mtime >= began]
    records = [read_run(path) or {} for path in found]
    if not records or any(record.get("status") not in ("completed", "diverged") for record in records):
        raise GradlabError(f"a run failed; log.txt in outputs/reproduce/{folder.name} says why")
    outcomes = []
    for claim in expectation.claims:
        if claim.quick or not quick:
            measured = claims.measure(claim, found)
            outcomes.append(results.Outcome(claim=claim, measured=measured, verdict=claims.judge(claim, measured)))
            print(f"  {results.brief(outcomes[-1])}", flush=True)
    seconds = sum(record["seconds"] for record in records)
    return results.Result(expectation=expectation, command=line, outcomes=outcomes, runs=len(records), seconds=seconds)


def run(words: Sequence[str], folder: Path) -> None:
    """Give a gradlab command in this process, which spares importing torch each time; its output goes to log.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    place = f"hydra.sweep.dir={folder}" if "-m" in words else f"hydra.run.dir={folder}"
    with (folder / "log.txt").open("w", encoding="utf-8") as log, contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(sys, "argv", [*words, "figures=false", place]))
        stack.enter_context(contextlib.redirect_stdout(log))
        stack.enter_context(contextlib.redirect_stderr(log))
        with contextlib.suppress(SystemExit):
            cli.main()


def machine(folder: Path) -> dict[str, str]:
    """Return the date, and what the runs in a folder were done on, as the first of them says it."""
    records = (read_run(path) or {} for path in find_runs(folder))
    environment = next(record["environment"] for record in records if "environment" in record)
    versions = ", ".join(f"{name} {environment[name]}" for name in ("gradlab", "torch", "python"))
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores, {environment['threads']} thread on {environment['device']}",
        "versions": versions,
    }


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
