"""What the commands share: the parser, the style of the help, the exit codes, and the form of ``--json``.

``--json`` prints one object on stdout, strict JSON, after an error too and with the same exit code::

    {"schema": 1, "command": "gradlab-explain", "version": "0.1.0", "exit_code": 0, "errors": [], "result": {}}

``schema`` grows by 1 when a key goes or changes its meaning; new keys may come without that. ``errors`` holds the lines
that are printed on stderr without ``--json``. ``result`` is null after an error; the docstring of each command's module
describes it. The floats that JSON does not have are the strings "nan", "inf" and "-inf".
"""

import json
import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from textwrap import wrap
from typing import Any, NoReturn

from gradlab import __version__
from gradlab.artifacts.atomic import to_plain
from gradlab.borders import flush_streams, open_streams, print_line, visible
from gradlab.errors import GateError, GradlabError, describe_os_error, one_line

SCHEMA = 1
_WIDTH = 100  # columns of running text in a help
ERROR, CHECK_FAILED = GradlabError.exit_code, GateError.exit_code
INTERRUPTED = 130  # what a shell reports for a process ended by Ctrl-C
CLOSED_PIPE = 141  # … and for one that wrote to a closed pipe


class Parser(ArgumentParser):
    """A parser that raises where argparse prints its usage and exits with 2."""

    def error(self, message: str) -> NoReturn:
        """Raise a one-line error.

        Raises:
            GradlabError: Always.
        """
        raise GradlabError(f"{one_line(message)}; {self.prog} --help lists the options")


class CommandParser(Parser):
    """The parser of a command other than ``gradlab``, with the flags that all of them have.

    Args:
        prog: The command.
        summary: What it does, in a sentence or two.
        examples: What may follow the command, each with what it does.
        check: When the command exits with 3; "" where it checks nothing.
    """

    def __init__(self, prog: str, *, summary: str, examples: Sequence[tuple[str, str]], check: str = "") -> None:
        lines = [(f"{prog} {arguments}".rstrip(), does) for arguments, does in examples]
        width = max(len(line) for line, _ in lines)
        shown = [f"  {line:<{width}}  {does}" for line, does in lines]
        super().__init__(
            prog=prog,
            description="\n".join([*wrap(summary, _WIDTH), "", "examples:", *shown]),
            epilog=exit_codes(check),
            allow_abbrev=False,
            add_help=False,
            formatter_class=RawDescriptionHelpFormatter,
        )
        self.arguments = self.add_argument_group("arguments")
        self.flags = self.add_argument_group("flags")
        self.flags.add_argument("-h", "--help", action="help", help="show this text")
        self.flags.add_argument(
            "--version", action="store_true", help="show the versions of gradlab, torch and hydra-core"
        )
        self.flags.add_argument(
            "--json", action="store_true", help="print one JSON object on stdout, also after an error"
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command prints.

    Attributes:
        result: Its findings as plain objects, for ``--json``.
        lines: The same in words, for stdout.
        problems: What went wrong on the way, in one line each, for stderr.
        exit_code: Its exit code.
    """

    result: Any
    lines: Iterable[str] = ()
    problems: Sequence[str] = ()
    exit_code: int = 0


_INTERRUPTION = Answer(result=None, problems=["interrupted"], exit_code=INTERRUPTED)


def exit_codes(check: str = "") -> str:
    """Return the last section of a help text.

    Args:
        check: When the command exits with 3; "" where it checks nothing.
    """
    codes = {
        0: "done, and every check passed" if check else "done",
        ERROR: "an error, in one line on stderr",
        CHECK_FAILED: check,
        INTERRUPTED: "Ctrl-C",
    }
    return "\n".join(["exit codes:", *(f"  {code:<4} {meaning}" for code, meaning in codes.items() if meaning)])


def versions() -> dict[str, str]:
    """Return the versions of gradlab and of the libraries that decide about its numbers."""
    return {"gradlab": __version__} | {name: version(name) for name in ("torch", "hydra-core")}


def say_versions() -> str:
    """Return the versions in one line."""
    own, *others = (f"{name} {number}" for name, number in versions().items())
    return f"{own} ({', '.join(others)})"


def serve(parser: CommandParser, work: Callable[[Namespace], Answer]) -> NoReturn:
    """Run a command on the arguments in `sys.argv`, print its answer, and exit.

    Args:
        parser: The command's parser.
        work: Its work; a `GradlabError` that it raises becomes one line.

    Raises:
        SystemExit: Always, with the answer's exit code, or the one of the error.
    """
    open_streams()
    as_json = "--json" in sys.argv[1:]
    try:
        answer = _answered(parser, work)
        show(answer, command=parser.prog, as_json=as_json)
    except KeyboardInterrupt:
        leave(_INTERRUPTION, command=parser.prog, as_json=as_json)
    except BrokenPipeError:  # `gradlab-explain RUN | head`: the reader has closed the pipe
        flush_streams()
        sys.exit(CLOSED_PIPE)
    sys.exit(answer.exit_code)


def _answered(parser: CommandParser, work: Callable[[Namespace], Answer]) -> Answer:
    """Return a command's answer, or its error as an answer; HYDRA_FULL_ERROR=1 raises an unexpected one."""
    arguments = sys.argv[1:]
    try:
        if "--version" in arguments:
            return Answer(result=versions(), lines=[say_versions()])
        return work(parser.parse_args(arguments))
    except GradlabError as error:
        return Answer(result=None, problems=[str(error)], exit_code=error.exit_code)
    except BrokenPipeError:
        raise
    except OSError as error:
        return Answer(result=None, problems=[describe_os_error(error)], exit_code=ERROR)
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        line = f"{type(error).__name__}: {one_line(error)} (HYDRA_FULL_ERROR=1 shows the traceback)"
        return Answer(result=None, problems=[line], exit_code=ERROR)


def leave(answer: Answer, *, command: str, as_json: bool) -> NoReturn:
    """Print an answer and exit with its code, even if the reader of a stream has closed it.

    Raises:
        SystemExit: Always.
    """
    with suppress(BrokenPipeError):
        show(answer, command=command, as_json=as_json)
    flush_streams()
    sys.exit(answer.exit_code)


def show(answer: Answer, *, command: str, as_json: bool) -> None:
    """Print an answer: as JSON on stdout, or as lines on stdout and problems on stderr.

    Raises:
        BrokenPipeError: The reader of stdout has closed it.
    """
    if as_json:
        print(
            json.dumps(
                {
                    "schema": SCHEMA,
                    "command": command,
                    "version": __version__,
                    "exit_code": answer.exit_code,
                    "errors": list(answer.problems),
                    "result": to_plain(answer.result),
                },
                indent=2,
                allow_nan=False,
            )
        )
    else:
        for line in answer.lines:
            print(visible(line))
        for line in answer.problems:
            print_line(f"{command}: {line}", to_stderr=True)
    sys.stdout.flush()
