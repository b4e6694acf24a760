"""The command `gradlab`: help and listings at once, everything else through Hydra.

Nothing here or in what this imports may import torch, pandas or matplotlib: help, tab completion, `--cfg job` and
the refusal of a mistyped key must come at once.

``--json`` (see `gradlab.cli.parser`) goes with ``--version``, whose result has the versions by name, and with
``--options``, whose result is ``{"groups": {GROUP: {OPTION: description}}}``. What a run finds is in its run.json.
"""

import logging
import os
import re
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gradlab.api import resume as resuming
from gradlab.api import through_hydra
from gradlab.borders import flush_streams, open_streams
from gradlab.cli.help import options, overview
from gradlab.cli.parser import CLOSED_PIPE, INTERRUPTED, Answer, Parser, leave, say_versions, show, versions
from gradlab.config.hydra_private import flag_parser
from gradlab.config.options import groups
from gradlab.errors import Ending, GradlabError, closest, did_you_mean

WANTS_TRACEBACK = os.environ.get("HYDRA_FULL_ERROR") == "1"


def main() -> None:
    """Run the command line in `sys.argv`.

    Raises:
        SystemExit: With 1 after an error, which is one line on stderr, with 3 after a run that does not pass its gate,
            and with 130 after Ctrl-C.
    """
    open_streams()
    through_hydra.import_from_here()
    # Hydra prints an error in many lines, unless this is set: then it raises it, and we print one line.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    logging.raiseExceptions = False  # a log line into a closed pipe is no reason for a traceback
    with one_line_errors():
        args = parse(sys.argv[1:])
        dirs = through_hydra.config_dirs(args.config_dir)
        if args.version:
            show(Answer(result=versions(), lines=[say_versions()]), command="gradlab", as_json=args.json)
        elif args.options is not None:
            text = options(dirs, group=args.options)
            found = {group: entries for group, entries in groups(dirs).items() if args.options in ("", group)}
            show(Answer(result={"groups": found}, lines=[text]), command="gradlab", as_json=args.json)
        elif args.help:
            print(overview(dirs))
        elif args.json:
            raise GradlabError("--json goes with --version and --options; what a run finds is in its run.json")
        elif args.multirun and resuming.asked(args.overrides):
            hint = "a sweep resumes when its command is given again with its hydra.sweep.dir=FOLDER"
            raise GradlabError(f"{resuming.KEY} resumes one run, without -m; {hint}")
        else:
            # Hydra 1.3 does not read overrides on both sides of a flag (`seed=1 -m model.depth=2`).
            flags = [word for word in sys.argv[1:] if word not in args.overrides]
            sys.argv[1:] = [*args.overrides, *flags]
            through_hydra.call_hydra(run, overrides=args.overrides, dirs=dirs, trusted=args.trust)
            flush_streams()


def parse(arguments: list[str]) -> Namespace:
    """Read the flags: Hydra's own, `--version`, `--options`, `--json` and `--trust`.

    Raises:
        GradlabError: There is no such flag, or it lacks its value.
    """
    # "resolve", because Hydra's own --version prints Hydra's.
    parser = Parser(
        prog="gradlab", parents=[flag_parser()], add_help=False, allow_abbrev=False, conflict_handler="resolve"
    )
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--options", nargs="?", const="")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--trust", action="append", default=[], metavar="MODULE")
    args, unknown = parser.parse_known_intermixed_args(arguments)
    if unknown:
        # The usage, not the help, whose texts of Hydra's are not all strings.
        flags = re.findall(r"(?<![\w-])-[\w-]+", parser.format_usage())
        raise GradlabError(f"unknown flag {unknown[0]}{did_you_mean(closest(unknown[0], flags))}")
    return args


def run(cfg: DictConfig) -> float | None:
    """Do one run, for Hydra; a run that is alone reports its own error, because Hydra would add a line to ours."""
    alone = HydraConfig.get().mode == RunMode.RUN
    with one_line_errors() if alone else nullcontext():
        return through_hydra.run(cfg)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print an error in one line on stderr and exit; HYDRA_FULL_ERROR=1 keeps the traceback."""
    try:
        yield
    except Ending as end:
        if not end.printed:
            _leave(str(end.error), exit_code=int(end.code or 0))
        flush_streams()
        raise
    except BrokenPipeError:  # the reader of our output has closed it
        flush_streams()
        sys.exit(CLOSED_PIPE)
    except (KeyboardInterrupt, Exception) as error:
        if WANTS_TRACEBACK and isinstance(error, Exception):
            raise
        if through_hydra.is_interrupt(error):
            _leave(through_hydra.interruption(error) or "interrupted", exit_code=INTERRUPTED)
        _leave(through_hydra.describe(error, folder=_folder()), exit_code=getattr(error, "exit_code", 1))


def _folder() -> Path | None:
    """Return the folder of the run under way, None where there is none."""
    if not HydraConfig.initialized():
        return None
    runtime = HydraConfig.get().runtime
    return None if OmegaConf.is_missing(runtime, "output_dir") else Path(runtime.output_dir)


def _leave(line: str, *, exit_code: int) -> NoReturn:
    leave(Answer(result=None, problems=[line], exit_code=exit_code), command="gradlab", as_json="--json" in sys.argv)
