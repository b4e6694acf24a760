"""The command `gradlab-report`: tables, figures and reports, made again from the files that runs left behind.

Like `gradlab.cli` it imports nothing heavy at its top, so that `--help` and a mistyped folder are answered at once;
torch is never imported.
"""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Sequence
from pathlib import Path

from gradlab.cli.parser import Parser
from gradlab.errors import GradlabError

_TOGETHER = Path("outputs", "reports")


def main() -> None:
    """Run the command line in `sys.argv`.

    Raises:
        SystemExit: With 1 after an error, or where the files of a run are broken; such runs are named on stderr.
    """
    try:
        args = _parser().parse_args()
        page, broken = remake(args.folders, to=args.to, metric=args.metric, pairs=args.grid, each=args.each, tell=print)
    except GradlabError as error:
        print(f"gradlab-report: {error}", file=sys.stderr)
        sys.exit(1)
    for run, reason in broken.items():
        print(f"gradlab-report: {run}: {reason}", file=sys.stderr)
    if page is not None and args.open:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
    sys.exit(1 if broken else 0)


def _parser() -> ArgumentParser:
    parser = Parser(
        prog="gradlab-report",
        description="Make tables, figures and report.html again, from the files that runs left: "
        "of one run, of a sweep, or of several sweeps side by side.",
        allow_abbrev=False,
    )
    parser.add_argument("folders", nargs="+", metavar="DIR", type=Path, help="a run, a sweep, or a folder of them")
    parser.add_argument("--open", action="store_true", help="show the report in the browser")
    parser.add_argument("--metric", default="", metavar="COLUMN", help="rank by it; default: test accuracy or loss")
    parser.add_argument(
        "--grid", action="append", metavar="KEY,KEY", type=_pair,
        help="draw the metric for each pair of values of two keys; may be given several times",
    )  # fmt: skip
    parser.add_argument("--each", action="store_true", help="draw the figures of each run of a sweep, too")
    parser.add_argument(
        "--to", metavar="DIR", type=Path, help=f"where to write; default: the folder, for several {_TOGETHER}/NAMES"
    )
    return parser


def _pair(text: str) -> tuple[str, str]:
    first, comma, second = text.partition(",")
    if not (first and comma and second) or "," in second:
        raise ArgumentTypeError(f"{text}: two keys are needed, such as activation,initializer")
    return first, second


def remake(
    folders: Sequence[Path],
    *,
    to: Path | None = None,
    metric: str = "",
    pairs: Sequence[tuple[str, str]] | None = None,
    each: bool = False,
    tell: Callable[[str], object] = lambda line: None,
) -> tuple[Path | None, dict[Path, str]]:
    """Make everything again that is made of the files of runs.

    Args:
        folders: Runs, sweeps, or folders of them; several are put side by side.
        to: Where to write; None for the folder, or for a folder named after all of them.
        metric: Column of the summary by which configs are compared; "" for the best known that was measured.
        pairs: Pairs of swept keys to draw against each other; None for the first three.
        each: Whether to draw the figures of each run of a sweep, too.
        tell: Is told each page that was written.

    Returns:
        The report, None where there is none; and the runs that were skipped or shown in part, and why.

    Raises:
        GradlabError: A folder is not there or holds no run, or there is no such metric or key.
    """
    from gradlab.artifacts.folders import find_runs, is_run
    from gradlab.sweep.rebuild import PAGE, rebuild

    for folder in folders:
        if not folder.is_dir():
            raise GradlabError(f"{folder}: there is no such folder")
    found = {folder: list(find_runs(folder)) for folder in dict.fromkeys(folders)}
    for folder, runs in found.items():
        if not runs:
            raise GradlabError(f"{folder}: holds no run: a run's folder has a run.json or a gradients.csv")
    runs = list(dict.fromkeys(run for some in found.values() for run in some))
    alone = len(found) == 1 and is_run(folders[0]) and to is None
    broken = _each(runs, tell=tell) if each or alone else {}
    page = folders[0] / PAGE
    if not alone:
        names = [folder.resolve().name for folder in found]
        place = to or (folders[0] if len(found) == 1 else _TOGETHER / "+".join(names)[:120])
        place.mkdir(parents=True, exist_ok=True)
        broken = rebuild(place, runs, name=", ".join(names), metric=metric, pairs=pairs) | broken
        page = place / PAGE
        tell(str(page))
    return (page if page.exists() else None), broken


def _each(runs: Sequence[Path], *, tell: Callable[[str], object]) -> dict[Path, str]:
    """Draw the figures and write the page of every run, and return those whose files are broken, and why."""
    from gradlab.run.draw import caption_of, rebuild_run

    broken = {}
    for run in runs:
        try:
            tell(str(rebuild_run(run, caption=caption_of(run))[-1]))
        except (OSError, ValueError) as error:
            broken[run] = f"skipped: {error}"
    return broken
