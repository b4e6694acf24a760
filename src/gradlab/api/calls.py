"""`gradlab.run`, `gradlab.sweep` and `gradlab.load`: the command ``gradlab`` as Python functions.

They compose, check, reuse, resume and report as the command does, so each can resume, reuse and read the other's
folders. Importing this module is cheap; torch is imported by the first run.
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


def run(
    *overrides: str,
    to: str | Path | None = None,
    config_dir: str | Path | None = None,
    trust: Sequence[str] = (),
) -> "Run":
    """Do one run, as ``gradlab OVERRIDES`` does, and return it.

    If the folder holds a run of the same config, a finished one is returned as it is, and an unfinished one is resumed
    from its checkpoint. ``train.resume=FOLDER`` resumes a run under its own config. The output of the command is
    printed.

    Args:
        *overrides: Overrides of the config, such as ``"model.depth=50", "activation=sigmoid"``.
        to: The run's folder; by default a new one below ``outputs/runs``.
        config_dir: A folder with options of your own, in the layout of gradlab's ``configs``.
        trust: With ``train.resume=FOLDER``, modules of your own that the folder's config may name.

    Returns:
        The run, with its tables as pandas frames, its verdicts and its figures.

    Raises:
        GradlabError: The config is refused or the run fails, with the command's message. `GradlabError.folder` is the
            run's folder, if it was created.
        GateError: The run does not pass its gate; its files are complete.
        KeyboardInterrupt: The run was interrupted. Its recorded steps are saved, and the same call with the same ``to``
            resumes it.
    """
    from gradlab.api.one_run import Run

    return Run(_command([], overrides, place="hydra.run.dir", to=to, config_dir=config_dir, trust=trust))


def sweep(*overrides: str, to: str | Path | None = None, config_dir: str | Path | None = None) -> "Sweep":
    """Do a sweep, as ``gradlab -m OVERRIDES`` does, and return it.

    Finished runs in the folder are not repeated. Any launcher and sweeper may be chosen, such as
    ``"hydra/launcher=parallel"``, ``"hydra/launcher=fused"`` or ``"hydra/sweeper=remedies"``.

    Args:
        *overrides: Overrides of the config, with values to sweep separated by commas, such as ``"seed=0,1,2"``.
        to: The sweep's folder; by default a new one below ``outputs/sweeps``.
        config_dir: A folder with options of your own, in the layout of gradlab's ``configs``.

    Returns:
        The sweep, with its runs, their table, the best run and the figures.

    Raises:
        GradlabError: The config is refused, or a run failed. A failed run does not stop the others, and
            ``gradlab.load(error.folder)`` returns the sweep.
        GateError: A run does not pass its gate.
        KeyboardInterrupt: The sweep was interrupted. Finished runs are saved, and the same call with the same ``to``
            resumes it.
    """
    from gradlab.api.many_runs import Sweep

    return Sweep(_command(["-m"], overrides, place="hydra.sweep.dir", to=to, config_dir=config_dir))


def load(folder: str | PathLike[str]) -> "Run | Sweep":
    """Load a run, or the runs at any depth below a folder as a sweep.

    The runs may come from the command line, `gradlab.run`, `gradlab.watch` or an older version.

    Args:
        folder: Folder of a run, of a sweep, or of several of them.

    Raises:
        GradlabError: The folder does not exist or holds no run.
    """
    from gradlab.api.many_runs import Sweep
    from gradlab.api.one_run import Run
    from gradlab.artifacts.folders import as_folder, is_run

    return Run(folder) if is_run(as_folder(folder)) else Sweep(folder)


def _command(
    flags: Sequence[str],
    overrides: Sequence[str],
    *,
    place: str,
    to: str | Path | None,
    config_dir: str | Path | None,
    trust: Sequence[str] = (),
) -> Path:
    """Run a command line of gradlab in this process, and return the output folder."""
    from gradlab.api import resume, through_hydra
    from gradlab.api.state import restored
    from gradlab.artifacts.folders import as_folder
    from gradlab.sweep import callback

    _check(overrides)
    if to is not None:
        as_folder(to)
    words = [*overrides, *([] if to is None else [f"{place}={_quoted(str(to))}"])]
    dirs = through_hydra.config_dirs(config_dir)
    options = [] if config_dir is None else ["--config-dir", str(config_dir)]
    resumed = resume.asked(words)
    if resumed and (flags or to is not None):
        raise GradlabError(f"train.resume={resumed} continues one run, in its own folder: gradlab.run without to")
    with _HYDRA, restored(["gradlab", *words, *flags, *options]):
        through_hydra.import_from_here()
        earlier = len(callback.folders)

        def folder() -> Path | None:
            return Path(resumed).absolute() if resumed else next(iter(callback.folders[earlier:]), None)

        with _one_error(folder, describe=through_hydra.describe):
            task = through_hydra.run if flags else through_hydra.run_alone
            through_hydra.call_hydra(task, overrides=words, dirs=dirs, trusted=trust)
        output = folder()
    if output is None:
        raise GradlabError("hydra.callbacks.sweep is not gradlab's own, so the run's folder is unknown")
    return output


@contextmanager
def _one_error(folder: Callable[[], Path | None], *, describe: Callable[..., str]) -> Iterator[None]:
    """Convert any error of a command to a `GradlabError` with the command's message; raise Ctrl-C as it is."""
    from gradlab.api.through_hydra import is_interrupt

    try:
        yield
    except (Ending, Exception) as caught:
        error = caught.error if isinstance(caught, Ending) else caught
        if is_interrupt(error):
            raise KeyboardInterrupt from error
        line = describe(error, folder=folder()).replace("add -m", "call gradlab.sweep")
        kind = type(error) if isinstance(error, GradlabError) else GradlabError
        raised = kind(line)
        raised.folder = folder()
        raise raised from error


def _check(overrides: Sequence[Any]) -> None:
    for text in overrides:
        if not isinstance(text, str):
            raise GradlabError(f"an override must be a string such as 'model.depth=50', got {text!r}")
        if text.startswith("-"):
            raise GradlabError(f"{text}: overrides are KEY=VALUE; gradlab.run does one run, gradlab.sweep many")


def _quoted(text: str) -> str:
    """Return a text in quotes, escaped for Hydra's override grammar."""
    escaped = re.sub(r"(\\*)(?='|$)", r"\1\1", text)  # a backslash is an escape only before a quote
    return "'" + escaped.replace("'", "\\'") + "'"
