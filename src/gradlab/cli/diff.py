"""The command `gradlab-diff`: where two runs, or two sweeps, differ.

The result of ``--json`` is what `gradlab.api.diff.compare_runs` returns of two runs, and `compare_sweeps` of sweeps.
Exit codes are those of the other commands (1 is an error), not those of diff(1).
"""

from argparse import Namespace

from gradlab.artifacts.folders import as_folder
from gradlab.cli.parser import CHECK_FAILED, Answer, CommandParser, serve


def main() -> None:
    """Run the command line in `sys.argv`.

    Raises:
        SystemExit: With 0 where the numbers are the same, 3 where they differ, and 1 after an error.
    """
    serve(_parser(), work)


def _parser() -> CommandParser:
    parser = CommandParser(
        "gradlab-diff",
        summary="Show which config keys and which environment of two runs differ, and at which step and layer their "
        "recorded figures first part: identical to the last bit, equal up to rounding, or other values.",
        examples=[
            ("outputs/runs/A outputs/runs/B", "two runs"),
            ("outputs/sweeps/A outputs/sweeps/B", "two sweeps, run by run with the same overrides"),
            ("A B --tolerance 0", "only identical figures are the same"),
        ],
        check="the numbers differ",
    )
    parser.arguments.add_argument("one", metavar="A", type=as_folder, help="a run or a sweep")
    parser.arguments.add_argument("other", metavar="B", type=as_folder, help="another")
    parser.flags.add_argument(
        "--tolerance", metavar="REL", type=float, default=1e-6,
        help="largest relative difference that is rounding; default: 1e-6",
    )  # fmt: skip
    return parser


def work(arguments: Namespace) -> Answer:
    """Compare the runs or sweeps that the command line names."""
    from gradlab.api.diff import diff

    found = diff(arguments.one, arguments.other, tolerance=arguments.tolerance)
    return Answer(result=found.result, lines=[found.text], exit_code=0 if found.same else CHECK_FAILED)
