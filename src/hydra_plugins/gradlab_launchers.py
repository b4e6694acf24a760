"""Hydra's launchers, as they are, with what a long sweep needs: a line of progress, and no run lost with another.

Hydra looks for the classes of plugins in this namespace and imports every module of it at start: nothing heavy here.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, filter_overrides
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher
from omegaconf import DictConfig

from gradlab.config.hydra_private import basic_launcher
from gradlab.config.run_name import run_name
from gradlab.errors import GradlabError, install_hint
from gradlab.launch.lost import Lost, answering, lost
from gradlab.launch.progress import abandon, following
from gradlab.launch.reuse import finished


def needing(library: str) -> type:
    """Return what stands in for the launcher of an extra that is not installed: it says how to install it."""

    class Missing(Launcher):  # Hydra knows no class that is none
        def __init__(self, **_: Any) -> None:
            raise GradlabError(install_hint(library))

    return Missing


BasicLauncher: Any = basic_launcher()
LocalLauncher: Any
SlurmLauncher: Any
RayLauncher: Any
try:
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import LocalLauncher, SlurmLauncher  # pyright: ignore[reportMissingImports]
except ImportError:
    LocalLauncher, SlurmLauncher = needing("hydra_submitit_launcher"), needing("hydra_submitit_launcher")
try:
    from hydra_plugins.hydra_ray_launcher.ray_launcher import RayLauncher  # pyright: ignore[reportMissingImports]
except ImportError:
    RayLauncher = needing("hydra_ray_launcher")


class Steadfast:
    """Mixed into a launcher: follows a sweep's runs, and reports one that was lost as failed instead of stopping."""

    config: Any
    hydra_context: Any

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take in what Hydra hands out, before the sweeper composes anything."""
        from gradlab.launch.composing import compose_once

        compose_once(hydra_context)
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)  # pyright: ignore[reportAttributeAccessIssue]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Launch the runs that are missing, as the launcher itself does.

        Args:
            job_overrides: The overrides of each run.
            initial_job_idx: Number of the first of them in the sweep.

        Returns:
            What each run returned, or what is left of one that was lost.
        """
        folders = [Path(self.config.hydra.sweep.dir, run_name(filter_overrides(own))) for own in job_overrides]
        answers = {folder: self.reused(folder, own) for folder, own in zip(folders, job_overrides, strict=True)}
        missing = [i for i, folder in enumerate(folders) if answers[folder] is None]
        if len(missing) < len(folders):
            print(f"{len(folders) - len(missing)} of {len(folders)} runs are complete already", flush=True)
        if missing:
            to_do = [folders[i] for i in missing]
            with following(to_do):
                try:
                    with self.sparing():
                        found = super().launch([job_overrides[i] for i in missing], initial_job_idx)  # pyright: ignore[reportAttributeAccessIssue]
                except Exception as error:  # joblib loses all of its runs with one of its processes
                    found = [lost(type(error).__name__) for _ in to_do]
            answers |= dict(zip(to_do, found, strict=True))
        for folder, each in answers.items():
            if isinstance(each, Lost):
                abandon(folder, each.reason)
        return [answer for folder in folders if (answer := answers[folder]) is not None]

    def reused(self, folder: Path, overrides: Sequence[str]) -> JobReturn | None:
        """Return the answer of a run that its folder holds already, or None."""
        if not (folder / "run.json").exists():
            return None
        try:
            config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        except Exception:  # reported where the run itself is composed
            return None
        return finished(folder, config)

    def sparing(self) -> AbstractContextManager[Any]:
        """Return a context in which the launcher waits for each of its runs, whatever became of the others."""
        return nullcontext()


class Serial(Steadfast, BasicLauncher):
    """One run after another in this process."""


class SideBySide(BasicLauncher):
    """Runs of one shape as one tensor program, the others one after another, in a process on each core.

    Args:
        width: Most runs in one.
        n_jobs: Most processes beside this one; -1 for one on each core, and 1 for none: this one does the runs.

    Raises:
        GradlabError: One of them is no such number.
    """

    def __init__(self, width: int, n_jobs: int) -> None:
        super().__init__()
        if type(width) is not int or width < 1:
            raise GradlabError(f"hydra.launcher.width must be an integer of at least 1, got {width}")
        if type(n_jobs) is not int or n_jobs == 0:
            raise GradlabError(f"hydra.launcher.n_jobs must be a number of processes, -1 for all cores; got {n_jobs}")
        self.width, self.n_jobs = width, n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take in what Hydra hands out, and let the processes' start begin."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        from gradlab.fused.processes import prepare

        if not Path(config.hydra.sweep.dir).exists():  # of one that is there, all runs may be done
            prepare(self)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Launch a batch of runs."""
        from gradlab.fused.processes import launch_shares

        return launch_shares(self, job_overrides, initial_job_idx)


class Fused(Steadfast, SideBySide):
    """Runs of one shape as one tensor program."""


class Parallel(Steadfast, JoblibLauncher):
    """joblib's processes on this machine."""


class Submitted(Steadfast):
    """Jobs of submitit, which raises the first lost job's error while others still run."""

    def sparing(self) -> AbstractContextManager[Any]:
        """Return a context in which a lost job answers for itself."""
        import submitit  # pyright: ignore[reportMissingImports]

        return answering(submitit.Job, "results", lambda answer: [answer])


class SubmititLocal(Submitted, LocalLauncher):
    """submitit's processes on this machine, each on its own."""


class Slurm(Submitted, SlurmLauncher):
    """A job array on a Slurm cluster."""


class Ray(Steadfast, RayLauncher):
    """Tasks on a Ray cluster, or on one that is started on this machine."""

    def sparing(self) -> AbstractContextManager[Any]:
        """Return a context in which a lost task answers for itself."""
        # Read on import: else Ray gives its tasks another environment and folder where `uv run` started this process.
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        import ray  # pyright: ignore[reportMissingImports]

        return answering(ray, "get", lambda answer: answer)
