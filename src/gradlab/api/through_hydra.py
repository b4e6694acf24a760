"""A command line of gradlab given to Hydra, with every refusal as a `GradlabError` of one line."""

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

MERGED = ("logger",)  # groups of which several options can be taken: Hydra merges them


def run(cfg: DictConfig) -> float | None:
    """Do one run of a command line; Hydra calls this.

    Args:
        cfg: The composed config.

    Returns:
        The run's objective, as `gradlab.run.execute.run` does.

    Raises:
        GradlabError: An override has no meaning here, or the run raises it.
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
    """Do the one run of a command; Hydra calls this, and would print an exception that leaves it.

    Raises:
        Ending: With what `run` raises.
    """
    try:
        return run(cfg)
    except Exception as error:
        raise Ending(error) from error


def call_hydra(task: Callable[[DictConfig], Any], *, overrides: Sequence[str], dirs: Sequence[Path]) -> None:
    """Compose the config and run, sweep or show it, as Hydra reads `sys.argv`.

    Args:
        task: What is called for each run.
        overrides: The overrides in `sys.argv`, to explain what Hydra refuses.
        dirs: The folders of configs, gradlab's first.

    Raises:
        GradlabError: Hydra refuses an override.
        SystemExit: A callback of Hydra's ends the command.
    """
    removed = next((text for text in overrides if text.startswith("~")), None)
    if removed is not None:
        raise GradlabError(f"{removed}: a key cannot be removed; write KEY=VALUE or choose another option")
    schema.register()
    folder = resuming.asked(overrides)
    try:
        if folder is None:
            hydra.main(config_path=str(CONFIGS), config_name="config", **MAIN_OPTIONS)(task)()
        else:
            resuming.resume(folder, overrides=overrides, dirs=dirs)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise GradlabError(refusals.explain(error, overrides=overrides, dirs=dirs)) from error


def config_dirs(own: str | Path | None) -> list[Path]:
    """Return the folders of configs: gradlab's own, and the user's if there is one.

    Raises:
        GradlabError: The user's is not there.
    """
    if own and not Path(own).is_dir():
        raise GradlabError(f"--config-dir {own}: there is no such folder")
    return [CONFIGS, *([Path(own)] if own else [])]


def import_from_here() -> None:
    """Let a config name modules of the working directory (``_target_: my_parts.swish``), as ``python FILE`` does."""
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is Ctrl-C or follows from it: OmegaConf, interrupted halfway, raises another one."""
    if error is None or isinstance(error, KeyboardInterrupt):
        return error is not None
    return is_interrupt(error.__cause__ if error.__suppress_context__ else error.__context__)


def describe(error: BaseException, *, folder: Path | None) -> str:
    """Return an error in one line; an unforeseen one with its type and the file that holds its traceback.

    Args:
        error: The error.
        folder: The folder of the run, where there is one.
    """
    if isinstance(error, GradlabError):
        return str(error)
    line = f"{type(error).__name__}: {one_line(error)}"
    log = None if folder is None else folder / "error.log"
    if log is not None and log.exists():
        return f"{line} (traceback in {log})"
    return f"{line} (HYDRA_FULL_ERROR=1 shows the traceback)"
