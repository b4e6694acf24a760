"""The command `gradlab`: help and listings at once, everything else through Hydra.

Nothing here or in what this imports may import torch, pandas or matplotlib: help, tab completion, `--cfg job` and
the answer to a typing error have to come at once.
"""

import logging
import os
import re
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from gradlab import __version__
from gradlab.cli import refusals
from gradlab.cli import resume as resuming
from gradlab.cli.help import options, overview
from gradlab.cli.parser import Parser
from gradlab.config import (
    run_name,  # noqa: F401  (its import registers the resolver that names the runs of a sweep)
    schema,
)
from gradlab.config.hydra_compat import MAIN_OPTIONS
from gradlab.config.hydra_private import flag_parser
from gradlab.config.paths import CONFIGS
from gradlab.errors import GradlabError, closest, did_you_mean, one_line

MERGED = ("logger",)  # groups of which several options can be taken: Hydra merges them
INTERRUPTED = 130  # what a shell reports for a process ended by Ctrl-C
CLOSED_PIPE = 141  # … and for one that wrote to a closed pipe
WANTS_TRACEBACK = os.environ.get("HYDRA_FULL_ERROR") == "1"


def main() -> None:
    """Run the command line in `sys.argv`.

    Raises:
        SystemExit: With 1 after an error, told in one line on stderr, with 3 after a run that its gate does not let
            pass, and with 130 after Ctrl-C.
    """
    # A console script does not look for modules where it is called, where a user's `_target_: my_parts.swish` lives.
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    # Hydra prints its own errors, in many lines, unless this is set: then it raises them, and we tell them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    logging.raiseExceptions = False  # a log line that nobody reads any more is no reason for a traceback
    with one_line_errors():
        args = parse(sys.argv[1:])
        dirs = config_dirs(args)
        if args.version:
            print(f"gradlab {__version__} (torch {version('torch')}, hydra-core {version('hydra-core')})")
        elif args.options is not None:
            print(options(dirs, group=args.options))
        elif args.help:
            print(overview(dirs))
        elif args.multirun and resuming.asked(args.overrides):
            hint = "a sweep goes on where it stopped when it is given again with its hydra.sweep.dir=FOLDER"
            raise GradlabError(f"{resuming.KEY} goes on with one run, without -m; {hint}")
        else:
            # Hydra 1.3 does not read overrides on both sides of a flag (`seed=1 -m model.depth=2`).
            flags = [word for word in sys.argv[1:] if word not in args.overrides]
            sys.argv[1:] = [*args.overrides, *flags]
            run_hydra(args.overrides, dirs)


def parse(arguments: list[str]) -> Namespace:
    """Read the flags: Hydra's own, `--version` and `--options`.

    Raises:
        GradlabError: There is no such flag, or it lacks its value.
    """
    # "resolve", because Hydra's own --version tells Hydra's.
    parser = Parser(
        prog="gradlab", parents=[flag_parser()], add_help=False, allow_abbrev=False, conflict_handler="resolve"
    )
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--options", nargs="?", const="")
    args, unknown = parser.parse_known_intermixed_args(arguments)
    if unknown:
        flags = re.findall(r"(?<![\w-])-[\w-]+", parser.format_help())
        raise GradlabError(f"unknown flag {unknown[0]}{did_you_mean(closest(unknown[0], flags))}")
    return args


def config_dirs(args: Namespace) -> list[Path]:
    """The folders of configs: gradlab's own and the user's `--config-dir`.

    Raises:
        GradlabError: The user's is not there.
    """
    if args.config_dir and not Path(args.config_dir).is_dir():
        raise GradlabError(f"--config-dir {args.config_dir}: there is no such folder")
    return [CONFIGS, *([Path(args.config_dir)] if args.config_dir else [])]


def run_hydra(overrides: list[str], dirs: list[Path]) -> None:
    """Compose the config and run, sweep or show it, as Hydra reads `sys.argv`.

    Args:
        overrides: The overrides in `sys.argv`, to explain what Hydra refuses.
        dirs: The folders of configs, gradlab's first.

    Raises:
        GradlabError: Hydra refuses an override.
    """
    removed = next((text for text in overrides if text.startswith("~")), None)
    if removed is not None:
        raise GradlabError(f"{removed}: a key cannot be removed; write KEY=VALUE or choose another option")
    schema.register()
    folder = resuming.asked(overrides)
    try:
        if folder is None:
            hydra.main(config_path=str(CONFIGS), config_name="config", **MAIN_OPTIONS)(run)()
        else:
            resuming.resume(folder, overrides=overrides, dirs=dirs)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise GradlabError(refusals.explain(error, overrides=overrides, dirs=dirs)) from error


def run(cfg: DictConfig) -> float | None:
    """Do one run, for Hydra; alone, it answers for its own errors, because Hydra would add a line to ours."""
    alone = HydraConfig.get().mode == RunMode.RUN
    with one_line_errors() if alone else nullcontext():
        from gradlab.run.execute import run

        if cfg.train.resume:
            raise GradlabError("train.resume=FOLDER has its effect on the command line only, and without -m")
        for override in HydraConfig.get().overrides.task:
            group, _, choice = override.partition("=")
            if choice.startswith("[") and (CONFIGS / group).is_dir() and group not in MERGED:
                raise GradlabError(f"{override}: {group} takes one option; a sweep is -m {group}={choice[1:-1]}")
        return run(cfg)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Tell an error in one line on stderr and exit; HYDRA_FULL_ERROR=1 keeps the traceback."""
    try:
        yield
    except BrokenPipeError:  # what reads our output has heard enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(CLOSED_PIPE)
    except (KeyboardInterrupt, Exception) as error:
        if WANTS_TRACEBACK and isinstance(error, Exception):
            raise
        if _interrupted(error):
            print("gradlab: interrupted", file=sys.stderr)
            sys.exit(INTERRUPTED)
        print(f"gradlab: {describe(error)}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 1))


def _interrupted(error: BaseException | None) -> bool:
    """Whether it is Ctrl-C, or what came of it: OmegaConf, interrupted halfway, raises another error on its way out."""
    if error is None or isinstance(error, KeyboardInterrupt):
        return error is not None
    return _interrupted(error.__cause__ if error.__suppress_context__ else error.__context__)


def describe(error: BaseException) -> str:
    """An error in one line; an unforeseen one with its type and the file that holds its traceback."""
    if isinstance(error, GradlabError):
        return str(error)
    line = f"{type(error).__name__}: {one_line(error)}"
    log = Path(HydraConfig.get().runtime.output_dir, "error.log") if HydraConfig.initialized() else None
    if log is not None and log.exists():
        return f"{line} (traceback in {log})"
    return f"{line} (HYDRA_FULL_ERROR=1 shows the traceback)"
