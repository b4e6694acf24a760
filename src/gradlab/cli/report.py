"""The command `gradlab-report`: tables, figures and reports, made again from the files that runs left behind.

Nothing heavy is imported at the top, so that `--help` and a mistyped folder are answered at once; torch is never
imported. The result of ``--json`` is ``{"report": its path or null, "pages": [every page that was written]}``.
"""

from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from gradlab.artifacts.folders import as_folder
from gradlab.borders import print_line
from gradlab.cli.parser import ERROR, Answer, CommandParser, serve

_TOGETHER = Path("outputs", "reports")


def main() -> None:
    """Run the command line in `sys.argv`.

    Raises:
        SystemExit: With 1 after an error, or where the files of a run are broken; such runs are named on stderr.
    """
    serve(_parser(), work)


def _parser() -> CommandParser:
    parser = CommandParser(
        "gradlab-report",
        summary="Make tables, figures and report.html again, from the files that runs left: of one run, of a sweep, or "
        "of several sweeps side by side.",
        examples=[
            ("outputs/sweeps/2026-01-31_12-00-00_0 --open", "one sweep, shown in the browser"),
            ("outputs/sweeps/A outputs/sweeps/B --to both", "two sweeps side by side, in the folder both"),
            ("outputs/sweeps/A --grid activation,model.depth", "with a map of the metric over two keys"),
        ],
    )
    parser.arguments.add_argument(
        "folders", nargs="+", metavar="DIR", type=as_folder, help="a run, a sweep, or a folder of them"
    )
    flags = parser.flags
    flags.add_argument("--open", action="store_true", help="show the report in the browser")
    flags.add_argument("--metric", default="", metavar="COLUMN", help="rank by it; default: test accuracy or loss")
    flags.add_argument(
        "--grid", action="append", metavar="KEY,KEY", type=_pair,
        help="draw the metric for each pair of values of two keys; may be given several times",
    )  # fmt: skip
    flags.add_argument("--each", action="store_true", help="draw the figures of each run of a sweep, too")
    flags.add_argument(
        "--to", metavar="DIR", type=as_folder,
        help=f"where to write; default: the folder, for several {_TOGETHER}/NAMES",
    )  # fmt: skip
    return parser


def work(arguments: Namespace) -> Answer:
    """Make the reports that the command line asks for.

    Raises:
        GradlabError: As `remake`.
    """
    pages: list[str] = []

    def say(page: str) -> None:
        pages.append(page)
        if not arguments.json:
            print_line(page)

    page, broken = remake(
        arguments.folders,
        to=arguments.to,
        metric=arguments.metric,
        pairs=arguments.grid,
        each=arguments.each,
        say=say,
    )
    if page is not None and arguments.open:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
    return Answer(
        result={"report": None if page is None else str(page), "pages": pages},
        problems=[f"{run}: {reason}" for run, reason in broken.items()],
        exit_code=ERROR if broken else 0,
    )


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
    say: Callable[[str], object] = lambda line: None,
) -> tuple[Path | None, dict[Path, str]]:
    """Make everything again that is made of the files of runs.

    Args:
        folders: Runs, sweeps, or folders of them; several are put side by side.
        to: Where to write; None for the folder, or for a folder named after all of them.
        metric: Column of the summary by which configs are compared; "" for the best known that was measured.
        pairs: Pairs of swept keys to draw against each other; None for the first three.
        each: Whether to draw the figures of each run of a sweep, too.
        say: Called with each page that was written.

    Returns:
        The report, None where there is none; and the runs that were skipped or shown in part, and why.

    Raises:
        GradlabError: A folder is not there or holds no run, or there is no such metric or key.
    """
    from gradlab.artifacts.folders import is_run, require_runs
    from gradlab.sweep.rebuild import PAGE, rebuild

    found = {folder: require_runs(folder) for folder in dict.fromkeys(folders)}
    runs = list(dict.fromkeys(run for some in found.values() for run in some))
    alone = len(found) == 1 and is_run(folders[0]) and to is None
    broken = _each(runs, say=say) if each or alone else {}
    page = folders[0] / PAGE
    if not alone:
        names = [folder.resolve().name for folder in found]
        place = to or (folders[0] if len(found) == 1 else _TOGETHER / "+".join(names)[:120])
        place.mkdir(parents=True, exist_ok=True)
        broken = rebuild(place, runs, name=", ".join(names), metric=metric, pairs=pairs) | broken
        page = place / PAGE
        say(str(page))
    return (page if page.exists() else None), broken


def _each(runs: Sequence[Path], *, say: Callable[[str], object]) -> dict[Path, str]:
    """Draw the figures and write the page of every run, and return those whose files are broken, and why."""
    from gradlab.artifacts.damage import describe_damage
    from gradlab.artifacts.record import FILE, unreadable
    from gradlab.run.draw import caption_of, rebuild_run

    broken = {}
    for run in runs:
        try:
            say(str(rebuild_run(run, caption=caption_of(run))[-1]))
            if (run / FILE).exists() and (reason := unreadable(run)):
                broken[run] = reason
        except Exception as error:  # whatever a damaged file causes, the other runs are drawn
            broken[run] = f"skipped: {describe_damage(error)}"
    return broken
