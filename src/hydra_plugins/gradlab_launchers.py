"""Hydra's launchers with progress lines, reuse of finished runs, and fault tolerance where a run is lost.

Hydra imports every module of this namespace at start, to find plugin classes, so nothing slow is imported at the top.
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

from gradlab.artifacts import lock
from gradlab.borders import print_line
from gradlab.config.hydra_private import basic_launcher
from gradlab.config.run_name import run_name
from gradlab.errors import GradlabError, install_hint
from gradlab.launch.lost import Lost, answering, lost
from gradlab.launch.progress import abandon, following
from gradlab.launch.reuse import done_elsewhere, finished
from gradlab.sweep.callback import note_runs


def missing_launcher(library: str) -> type:
    """Return a launcher class for an extra that is not installed; making an instance raises the install hint."""

    class Missing(Launcher):  # Hydra finds only subclasses of its plugin types
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
    LocalLauncher = SlurmLauncher = missing_launcher("hydra_submitit_launcher")
try:
    from hydra_plugins.hydra_ray_launcher.ray_launcher import RayLauncher  # pyright: ignore[reportMissingImports]
except ImportError:
    RayLauncher = missing_launcher("hydra_ray_launcher")


class FaultTolerant:
    """Mixin of launchers: prints a sweep's progress, skips finished runs, and reports a lost run as failed."""

    config: Any
    hydra_context: Any

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Set the launcher up, with a cache of composed configs that the sweeper uses too."""
        from gradlab.launch.composing import compose_once

        compose_once(hydra_context)
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)  # pyright: ignore[reportAttributeAccessIssue]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Launch the runs that are not complete yet.

        Args:
            job_overrides: The overrides of each run.
            initial_job_idx: Number of the first of them in the sweep.

        Returns:
            The result of each run, in the order of the runs; a `Lost` for a run whose process was lost.
        """
        folders = self.folders(job_overrides)
        note_runs(folders)
        # A run that is listed twice is launched once.
        places = {folder: i for i, folder in reversed(list(enumerate(folders)))}
        results = {folder: self.reused(folder, job_overrides[i]) for folder, i in places.items()}
        complete = sum(result is not None for result in results.values())
        if complete:
            print_line(f"{complete} of {len(places)} runs are complete already")
        held = [folder for folder, result in results.items() if result is None and lock.is_held(folder)]
        if held:
            print_line(f"{len(held)} of {len(places)} runs are being done by another process")
        results |= {folder: done_elsewhere(job_overrides[places[folder]]) for folder in held}
        missing = sorted(places[folder] for folder, result in results.items() if result is None)
        if missing:
            to_do = [folders[i] for i in missing]
            with following(to_do):
                try:
                    with self.tolerating_losses():
                        launched = super().launch([job_overrides[i] for i in missing], initial_job_idx)  # pyright: ignore[reportAttributeAccessIssue]
                except Exception as error:  # joblib loses all runs when one process dies
                    launched = [lost(type(error).__name__) for _ in to_do]
            results |= dict(zip(to_do, launched, strict=True))
        for folder, result in results.items():
            if isinstance(result, Lost):
                abandon(folder, result.reason)
        return [result for folder in folders if (result := results[folder]) is not None]

    def folders(self, job_overrides: Sequence[Sequence[str]]) -> list[Path]:
        """Return the folder of each run.

        Raises:
            GradlabError: Two runs with different overrides have one folder.
        """
        sweep, texts, folders = self.config.hydra.sweep.dir, dict[Path, str](), []
        for overrides in job_overrides:
            own = filter_overrides(overrides)
            folder, text = Path(sweep, run_name(own, sweep)), " ".join(sorted(own))
            if texts.setdefault(folder, text) != text:
                raise GradlabError(f"{folder}: two runs have this folder, {texts[folder]} and {text}; change a value")
            folders.append(folder)
        return folders

    def reused(self, folder: Path, overrides: Sequence[str]) -> JobReturn | None:
        """Return the result of a finished run in the folder; None if the run must be launched."""
        if not (folder / "run.json").exists():
            return None
        try:
            config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        except Exception:  # reported where the run itself is composed
            return None
        return finished(folder, config)

    def tolerating_losses(self) -> AbstractContextManager[Any]:
        """Return a context in which the launcher waits for every run, even if others were lost."""
        return nullcontext()


class Serial(FaultTolerant, BasicLauncher):
    """One run after another in this process."""


class FusedLauncher(BasicLauncher):
    """Runs of one shape as one tensor program, the others one after another, in one process for each core.

    Args:
        width: Largest number of runs fused into one program.
        n_jobs: Largest number of worker processes; -1 for one on each core, 1 to run in this process.

    Raises:
        GradlabError: ``width`` is not an integer of at least 1, or ``n_jobs`` is 0 or not an integer.
    """

    def __init__(self, width: int, n_jobs: int) -> None:
        super().__init__()
        if type(width) is not int or width < 1:
            raise GradlabError(f"hydra.launcher.width must be an integer of at least 1, got {width}")
        if type(n_jobs) is not int or n_jobs == 0:
            raise GradlabError(f"hydra.launcher.n_jobs must be a number of processes, -1 for all cores; got {n_jobs}")
        self.width, self.n_jobs = width, n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Set the launcher up, and start the worker processes early."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        from gradlab.fused.processes import prepare

        if not Path(config.hydra.sweep.dir).exists():  # in an existing sweep, all runs may be complete
            prepare(self)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Launch a batch of runs."""
        from gradlab.fused.processes import launch_shares

        return launch_shares(self, job_overrides, initial_job_idx)


class Fused(FaultTolerant, FusedLauncher):
    """Runs of one shape as one tensor program."""


class Parallel(FaultTolerant, JoblibLauncher):
    """joblib's processes on this machine."""


class Submitted(FaultTolerant):
    """Jobs of submitit, whose launcher raises the error of the first lost job while others still run."""

    def tolerating_losses(self) -> AbstractContextManager[Any]:
        """Return a context in which a lost job returns a `Lost` instead of raising."""
        import submitit  # pyright: ignore[reportMissingImports]

        return answering(submitit.Job, "results", lambda result: [result])


class SubmititLocal(Submitted, LocalLauncher):
    """submitit's processes on this machine, each on its own."""


class Slurm(Submitted, SlurmLauncher):
    """A job array on a Slurm cluster."""


class Ray(FaultTolerant, RayLauncher):
    """Tasks on a Ray cluster, or on one that is started on this machine."""

    def tolerating_losses(self) -> AbstractContextManager[Any]:
        """Return a context in which a lost task returns a `Lost` instead of raising."""
        # Ray reads this on import. Unset, tasks get another environment and folder if `uv run` started this process.
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        import ray  # pyright: ignore[reportMissingImports]

        return answering(ray, "get", lambda result: result)
