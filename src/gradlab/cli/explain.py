"""The command `gradlab-explain`: what was wrong with a finished run, why, and what may help, from its files alone.

The result of ``--json`` is ``{"runs": [run, …]}``, each as `gradlab.api.explain.read_one` returns it.
"""

from argparse import Namespace

from gradlab.artifacts.folders import as_folder
from gradlab.cli.parser import ERROR, Answer, CommandParser, serve


def main() -> None:
    """Run the command line in `sys.argv`.

    Raises:
        SystemExit: With 1 after an error, or where the files of a run are broken; such runs are named on stderr.
    """
    serve(_parser(), work)


def _parser() -> CommandParser:
    parser = CommandParser(
        "gradlab-explain",
        summary="Say what was wrong with a run, why, and what may help: a page for one run, a paragraph for each of "
        "several.",
        examples=[
            ("outputs/runs/2026-01-31_12-00-00_0", "one run"),
            ("outputs/sweeps/*", "every run of every sweep, and how often each root cause was found"),
        ],
    )
    parser.arguments.add_argument(
        "folders", nargs="+", metavar="RUN", type=as_folder, help="a run, a sweep, or a folder of them"
    )
    return parser


def work(arguments: Namespace) -> Answer:
    """Explain the runs that the command line names."""
    from gradlab.api.explain import in_words, read

    found, broken = read(arguments.folders)
    return Answer(
        result={"runs": found},
        lines=in_words(found),
        problems=[f"{run}: {reason}" for run, reason in broken.items()],
        exit_code=ERROR if broken else 0,
    )
