"""The command `gradlab-reproduce`: run the published experiments, and compare their figures with the published ones.

Each experiment is a command of gradlab, ``experiment=NAME``, with the expected figures beside its recipe. A finished
run is reused, so an interrupted call continues where it stopped. Below ``--to`` (``outputs/reproduce`` by default; the
small versions of ``--quick`` go into its folder ``quick``)::

    NAME/              the folder that the experiment's command leaves: one run (run.json, gradients.csv, …) or a sweep
                       (summary.csv and one folder for each run), with figures/ and report.html
    NAME/log.txt       what the command printed
    NAME/result.json   the experiment's result
    results.md         the page of this call: a table of figures for each experiment

The result of an experiment has ``name, source, effect, command, title, folder, runs, seconds, figures`` (the SVG files
below its folder), ``report`` (its report.html, or null), ``skipped`` and ``failed`` (why it was not run, or has no
figures; "" otherwise), and ``claims``, each with ``says, source, expected`` (in words), ``at_least, at_most, measured,
verdict`` (within, OUTSIDE, not seen at this scale) and ``unseen`` (why it is not expected at this scale). ``--json``
prints ``{"page": …, "machine": …, "experiments": [result, …]}``, and with ``--list`` ``{"experiments": [{"name",
"title", "command", "source", "effect", "quick"}, …]}``.
"""

import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradlab.artifacts.folders import as_folder
from gradlab.borders import print_line
from gradlab.cli.parser import CHECK_FAILED, ERROR, Answer, CommandParser, serve
from gradlab.config.options import description
from gradlab.config.paths import CONFIGS
from gradlab.errors import GradlabError, closest, did_you_mean

if TYPE_CHECKING:
    from gradlab.reproduce.claims import Expectation
    from gradlab.reproduce.results import Result

RECIPES = CONFIGS / "experiment"
RESULT, LOG = "result.json", "log.txt"


def main() -> None:
    """Run the command line in `sys.argv`.

    Raises:
        SystemExit: With 1 after an error or where an experiment failed, with 3 where a figure is not as expected.
    """
    serve(_parser(), work)


def _parser() -> CommandParser:
    parser = CommandParser(
        "gradlab-reproduce",
        summary="Run published experiments, and compare what their runs recorded with what was published.",
        examples=[
            ("--list", "the experiments, each with its command"),
            ("he_residual rezero", "two of them"),
            ("--quick", "small versions of most of them, in minutes"),
            ("", "all of them; hours"),
        ],
        check="a figure is not as expected",
    )
    parser.arguments.add_argument(
        "names", nargs="*", metavar="NAME", help="experiments; default: all that can run here"
    )
    parser.flags.add_argument("--quick", action="store_true", help="run small versions")
    parser.flags.add_argument("--list", action="store_true", help="list the experiments, and run nothing")
    parser.flags.add_argument(
        "--to", type=as_folder, default=Path("outputs", "reproduce"), metavar="DIR",
        help="where the runs go; default: outputs/reproduce",
    )  # fmt: skip
    parser.flags.add_argument(
        "--page", type=as_folder, metavar="FILE", help="the page to write; default: DIR/results.md"
    )
    return parser


def work(arguments: Namespace) -> Answer:
    """Run what the command line asks for.

    Args:
        arguments: Of the command line.

    Raises:
        GradlabError: There is no such experiment, or it has no small version.
    """
    from gradlab.reproduce import claims, results
    from gradlab.reproduce.machine import describe_machine

    known = claims.read_all(RECIPES)
    if unknown := [name for name in arguments.names if name not in known]:
        hint = did_you_mean(closest(unknown[0], known)) or ";"
        raise GradlabError(f"no experiment {unknown[0]} with expected figures{hint} there are {', '.join(known)}")
    if arguments.list:
        entries = [entry(one) for one in known.values()]
        lines = [f"{each['name']:<22} {each['command']}" for each in entries]
        return Answer(result={"experiments": entries}, lines=lines)
    chosen = [known[name] for name in arguments.names or known if not arguments.quick or known[name].quick is not None]
    if not chosen:
        raise GradlabError(f"{', '.join(arguments.names)} has no small version; leave out --quick")
    folder = (arguments.to / "quick" if arguments.quick else arguments.to).absolute()
    say = _stderr if arguments.json else _stdout
    done = [attempt(one, folder, quick=arguments.quick, named=one.name in arguments.names, say=say) for one in chosen]
    whole = len(chosen) == len(known)
    what = "Every experiment" if whole else "The small versions (`--quick`)" if arguments.quick else "Some experiments"
    machine = describe_machine(run for one in done for run in _runs(folder / one.expectation.name))
    page = arguments.page or folder / "results.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    text = results.page(done, title=f"{what}. Written by `gradlab-reproduce`.", machine=machine)
    page.write_text(text, encoding="utf-8")
    outside = any(outcome.verdict == claims.OUTSIDE for one in done for outcome in one.outcomes)
    failures = [f"{one.expectation.name}: {one.failed}" for one in done if one.failed]
    return Answer(
        result={
            "page": str(page),
            "machine": machine,
            "experiments": [as_json(one, folder / one.expectation.name) for one in done],
        },
        lines=[str(page)],
        problems=failures,
        exit_code=ERROR if failures else CHECK_FAILED if outside else 0,
    )


def command(name: str, overrides: Sequence[str] = ()) -> str:
    """Return the command that runs an experiment: the recipe's first comment, and overrides."""
    words, _, _ = description(RECIPES / f"{name}.yaml").partition(": ")
    return " ".join([words, *overrides])


def title(name: str) -> str:
    """Return what an experiment shows, in words: the other half of the recipe's first comment."""
    return description(RECIPES / f"{name}.yaml").partition(": ")[2]


def entry(expectation: "Expectation") -> dict[str, Any]:
    """Return an experiment as ``--list --json`` has it."""
    return {
        "name": expectation.name,
        "title": title(expectation.name),
        "command": command(expectation.name),
        "source": expectation.source,
        "effect": expectation.effect,
        "quick": None if expectation.quick is None else command(expectation.name, expectation.quick),
    }


def as_json(result: "Result", folder: Path) -> dict[str, Any]:
    """Return the result of an experiment as the module's docstring describes it.

    Args:
        result: How it came out.
        folder: The experiment's folder.
    """
    from gradlab.reproduce.results import as_plain

    report = folder / "report.html"
    return {
        **as_plain(result),
        "title": title(result.expectation.name),
        "folder": str(folder),
        "figures": [path.relative_to(folder).as_posix() for path in sorted(folder.glob("figures/*.svg"))],
        "report": report.name if report.exists() else None,
    }


def missing(expectation: "Expectation") -> str:
    """Return what this machine lacks for an experiment; empty where it can run."""
    from gradlab.reproduce.machine import free_memory

    return expectation.needs or (f"{expectation.memory:g} GiB" if expectation.memory > free_memory() else "")


def attempt(expectation: "Expectation", to: Path, *, quick: bool, named: bool, say: Callable[[str], None]) -> "Result":
    """Run an experiment if that is possible here, or if it was named; one that fails stops no other.

    Args:
        expectation: What is expected of it.
        to: The folder in which its own is.
        quick: Whether to run the small version.
        named: Whether the command line names it.
        say: Prints a line of progress.

    Returns:
        How it came out; that is also written to the experiment's folder.
    """
    from gradlab.artifacts.atomic import write_json
    from gradlab.reproduce.results import Result

    line = command(expectation.name)
    if not named and (lacking := missing(expectation)):
        return Result(expectation=expectation, command=line, skipped=lacking)
    folder = to / expectation.name
    try:
        found = reproduce(expectation, folder, quick=quick, say=say)
    except GradlabError as error:
        say(f"  FAILED: {error}")
        found = Result(expectation=expectation, command=line, failed=str(error))
    write_json(folder / RESULT, as_json(found, folder))
    return found


def reproduce(expectation: "Expectation", folder: Path, *, quick: bool, say: Callable[[str], None]) -> "Result":
    """Run an experiment and measure its figures.

    Args:
        expectation: What is expected of it.
        folder: Where its runs are or go.
        quick: Whether to run the small version, and to measure what that can show.
        say: Prints a line of progress.

    Raises:
        GradlabError: A run failed, or left no such figure.
    """
    from gradlab.artifacts.record import read_run
    from gradlab.reproduce import claims, results

    line = command(expectation.name, list(expectation.quick or ()) if quick else [])
    say(line)
    began = time.time() - 1  # file systems keep times less exactly than the clock
    run(line.split(), folder)
    # The folder may hold runs of an earlier version of the recipe too.
    runs = [path for path in _runs(folder) if (path / ".hydra" / "hydra.yaml").stat().st_mtime >= began]
    records: list[Mapping[str, Any]] = [read_run(path) or {} for path in runs]
    if not records or any(record.get("status") not in ("completed", "diverged") for record in records):
        raise GradlabError(f"a run failed; {folder / LOG} says why")
    outcomes = []
    for claim in expectation.claims:
        if claim.quick or not quick:
            measured = claims.measure(claim, runs)
            outcomes.append(results.Outcome(claim=claim, measured=measured, verdict=claims.judge(claim, measured)))
            say(f"  {results.brief(outcomes[-1])}")
    seconds = sum(record["seconds"] for record in records)
    return results.Result(expectation=expectation, command=line, outcomes=outcomes, runs=len(records), seconds=seconds)


def run(words: Sequence[str], folder: Path) -> None:
    """Run a gradlab command in this process, which imports torch once for all; its output goes to log.txt."""
    from gradlab.api import calls

    folder.mkdir(parents=True, exist_ok=True)
    do = calls.sweep if "-m" in words else calls.run
    with (folder / LOG).open("w", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        try:
            do(*(word for word in words[1:] if word != "-m"), to=folder)
        except GradlabError as error:  # the runs' own records say which failed
            print(error)


def _runs(folder: Path) -> list[Path]:
    from gradlab.artifacts.folders import find_runs

    return list(find_runs(folder)) if folder.exists() else []


def _stdout(line: str) -> None:
    print_line(line)


def _stderr(line: str) -> None:
    print_line(line, to_stderr=True)
