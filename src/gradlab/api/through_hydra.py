"""Run a command line of gradlab through Hydra, with errors converted to `GradlabError`s of one line."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from gradlab.api import refusals
from gradlab.api import resume as resuming
from gradlab.config import (
    run_name,  # noqa: F401  (its import registers the resolver that names the runs of a sweep)
    schema,
)
from gradlab.config.hydra_compat import MAIN_OPTIONS
from gradlab.config.paths import CONFIGS
from gradlab.errors import Ending, GradlabError, one_line

MERGED = ("logger",)  # groups of which several options can be chosen, which Hydra merges


def run(cfg: DictConfig) -> float | None:
    """Do one run of a command line, as Hydra's task function.

    Args:
        cfg: The composed config.

    Returns:
        The run's objective, as in `gradlab.run.execute.run`.

    Raises:
        GradlabError: An override is not valid here, or the run raises the error.
    """
    from gradlab.run.execute import run

    if cfg.train.resume:
        raise GradlabError("train.resume=FOLDER works on the command line only, and without -m")
    for override in HydraConfig.get().overrides.task:
        group, _, choice = override.partition("=")
        if choice.startswith("[") and (CONFIGS / group).is_dir() and group not in MERGED:
            raise GradlabError(f"{override}: {group} takes one option; a sweep is -m {group}={choice[1:-1]}")
    return run(cfg)


def run_alone(cfg: DictConfig) -> float | None:
    """Do a single run, as Hydra's task function, with exceptions wrapped so that Hydra does not print them.

    Raises:
        Ending: Wraps the exception of `run`.
    """
    try:
        return run(cfg)
    except Exception as error:
        raise Ending(error) from error


def call_hydra(
    task: Callable[[DictConfig], Any], *, overrides: Sequence[str], dirs: Sequence[Path], trusted: Sequence[str] = ()
) -> None:
    """Compose the config and run, sweep or show it, according to `sys.argv`.

    Args:
        task: The function to call for each run.
        overrides: The overrides in `sys.argv`, to explain Hydra's errors.
        dirs: Folders of configs, gradlab's first.
        trusted: Modules that the config of a resumed folder may name.

    Raises:
        GradlabError: Hydra refuses an override.
        SystemExit: A callback ends the command.
    """
    removed = next((text for text in overrides if text.startswith("~")), None)
    if removed is not None:
        raise GradlabError(f"{removed}: a key cannot be removed; write KEY=VALUE or choose another option")
    schema.register()
    folder = resuming.asked(overrides)
    if trusted and folder is None:
        raise GradlabError(f"--trust {trusted[0]}: only {resuming.KEY}=FOLDER needs it; this command is your own")
    try:
        if folder is None:
            hydra.main(config_path=str(CONFIGS), config_name="config", **MAIN_OPTIONS)(task)()
        else:
            resuming.resume(folder, overrides=overrides, dirs=dirs, trusted=trusted)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise GradlabError(refusals.explain(error, overrides=overrides, dirs=dirs)) from error


def config_dirs(own: str | Path | None) -> list[Path]:
    """Return the folders of configs: gradlab's own, and the user's if given.

    Raises:
        GradlabError: The user's folder does not exist.
    """
    if own and not Path(own).is_dir():
        raise GradlabError(f"--config-dir {own}: there is no such folder")
    return [CONFIGS, *([Path(own)] if own else [])]


def import_from_here() -> None:
    """Append the working directory to `sys.path`, so that a config can name the user's modules as targets."""
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def interruption(error: BaseException | None) -> str:
    """Return what an interrupted run says of itself; empty where Ctrl-C came from elsewhere."""
    if error is None or isinstance(error, KeyboardInterrupt):
        return str(error or "")
    return interruption(error.__cause__ if error.__suppress_context__ else error.__context__)


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is Ctrl-C or caused by it: OmegaConf raises an error of its own when it is interrupted."""
    if error is None or isinstance(error, KeyboardInterrupt):
        return error is not None
    return is_interrupt(error.__cause__ if error.__suppress_context__ else error.__context__)


def describe(error: BaseException, *, folder: Path | None) -> str:
    """Return an error in one line; an unexpected one with its type, and with the file that holds its traceback.

    Args:
        error: The error.
        folder: The run's folder; None if it has none.
    """
    if isinstance(error, GradlabError):
        return str(error)
    line = f"{type(error).__name__}: {one_line(error)}"
    log = None if folder is None else folder / "error.log"
    if log is not None and log.exists():
        return f"{line} (traceback in {log})"
    return f"{line} (HYDRA_FULL_ERROR=1 shows the traceback)"
