"""`gradlab.run`, `gradlab.sweep` and `gradlab.load`: the command line's work, called from Python.

They compose, check, reuse, resume and report as the command ``gradlab`` does, so a folder that one has written is
continued, reused and read by the other. Nothing is heavy to import here; torch comes with the first run.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradlab.errors import Ending, GradlabError

if TYPE_CHECKING:
    from gradlab.api.many_runs import Sweep
    from gradlab.api.one_run import Run

_HYDRA = threading.RLock()  # Hydra's state is global: one command at a time


def run(*overrides: str, to: str | Path | None = None, config_dir: str | Path | None = None) -> "Run":
    """Do one run, as ``gradlab OVERRIDES`` does, and return it.

    A run that the folder holds already, of the same config, is not done again; one that was cut off continues from its
    checkpoint. ``train.resume=FOLDER`` continues a run under its own config. It prints what the command prints.

    Args:
        *overrides: Of the config, such as ``"model.depth=50", "activation=sigmoid"``.
        to: The run's folder; by default a new one below ``outputs/runs``.
        config_dir: A folder of options of your own, laid out like gradlab's.

    Returns:
        The run: its tables as pandas frames, its verdicts and its figures.

    Raises:
        GradlabError: What the command would refuse or report in one line. `GradlabError.folder` is the run's folder, if
            it came so far. A run that does not pass its gate raises `GateError`, and its files are whole.
        KeyboardInterrupt: After what was recorded has been written; the same call continues the run.
    """
    from gradlab.api.one_run import Run

    return Run(_command([], overrides, place="hydra.run.dir", to=to, config_dir=config_dir))


def sweep(*overrides: str, to: str | Path | None = None, config_dir: str | Path | None = None) -> "Sweep":
    """Do a sweep, as ``gradlab -m OVERRIDES`` does, and return it.

    Runs that the folder holds already are not done again. Any launcher and sweeper may be chosen:
    ``"hydra/launcher=parallel"``, ``"hydra/launcher=fused"``, ``"hydra/sweeper=remedies"``.

    Args:
        *overrides: Of the config; values between commas are swept: ``"seed=0,1,2"``.
        to: The sweep's folder; by default a new one below ``outputs/sweeps``.
        config_dir: A folder of options of your own, laid out like gradlab's.

    Returns:
        The sweep: its runs, their table, the best of them and the figures.

    Raises:
        GradlabError: What the command would refuse; or a run failed, after the others have ended. Then
            ``gradlab.load(error.folder)`` returns the sweep. Where a run does not pass its gate, `GateError`.
        KeyboardInterrupt: After what was recorded has been written; the same call with the same ``to`` continues.
    """
    from gradlab.api.many_runs import Sweep

    return Sweep(_command(["-m"], overrides, place="hydra.sweep.dir", to=to, config_dir=config_dir))


def load(folder: str | PathLike[str]) -> "Run | Sweep":
    """Return what a folder holds: one run, or the runs at any depth below it as a sweep.

    It does not matter whether the command line, `gradlab.run`, `gradlab.watch` or an older version wrote it.

    Args:
        folder: A run's folder, a sweep's, or one that holds some of them.

    Raises:
        GradlabError: The folder is not there or holds no run.
    """
    from gradlab.api.many_runs import Sweep
    from gradlab.api.one_run import Run
    from gradlab.artifacts.folders import is_run

    return Run(folder) if is_run(Path(folder)) else Sweep(folder)


def _command(
    flags: Sequence[str],
    overrides: Sequence[str],
    *,
    place: str,
    to: str | Path | None,
    config_dir: str | Path | None,
) -> Path:
    """Run a command line of gradlab in this process, and return the folder that it wrote to."""
    from gradlab.api import resume, through_hydra
    from gradlab.api.state import restored
    from gradlab.sweep import callback

    _check(overrides)
    words = [*overrides, *([] if to is None else [f"{place}={_quoted(str(to))}"])]
    dirs = through_hydra.config_dirs(config_dir)
    own = [] if config_dir is None else ["--config-dir", str(config_dir)]
    resumed = resume.asked(words)
    if resumed and (flags or to is not None):
        raise GradlabError(f"train.resume={resumed} continues one run, in its own folder: gradlab.run without to")
    with _HYDRA, restored(["gradlab", *words, *flags, *own]):
        through_hydra.import_from_here()
        began = len(callback.folders)

        def folder() -> Path | None:
            return Path(resumed).absolute() if resumed else next(iter(callback.folders[began:]), None)

        with _one_error(folder, describe=through_hydra.describe):
            task = through_hydra.run if flags else through_hydra.run_alone
            through_hydra.call_hydra(task, overrides=words, dirs=dirs)
        found = folder()
    if found is None:
        raise GradlabError("hydra.callbacks.sweep is not gradlab's own: where the run went is not known")
    return found


@contextmanager
def _one_error(folder: Callable[[], Path | None], *, describe: Callable[..., str]) -> Iterator[None]:
    """Turn whatever ends a command into a `GradlabError` with the command's own line, or into Ctrl-C."""
    from gradlab.api.through_hydra import is_interrupt

    try:
        yield
    except (Ending, Exception) as caught:
        error = caught.error if isinstance(caught, Ending) else caught
        if is_interrupt(error):
            raise KeyboardInterrupt from error
        line = describe(error, folder=folder()).replace("add -m", "call gradlab.sweep")
        kind = type(error) if isinstance(error, GradlabError) else GradlabError
        found = kind(line)
        found.folder = folder()
        raise found from error


def _check(overrides: Sequence[Any]) -> None:
    for text in overrides:
        if not isinstance(text, str):
            raise GradlabError(f"an override is a text such as 'model.depth=50', got {text!r}")
        if text.startswith("-"):
            raise GradlabError(f"{text}: overrides are KEY=VALUE; gradlab.run does one run, gradlab.sweep many")


def _quoted(text: str) -> str:
    """Return a text as Hydra reads it back, whatever is in it."""
    escaped = re.sub(r"(\\*)(?='|$)", r"\1\1", text)  # backslashes count only before a quote
    return "'" + escaped.replace("'", "\\'") + "'"
