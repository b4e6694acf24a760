"""A batch of a sweep's runs in several processes, each of which trains its share as one."""

import os
import threading
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import joblib
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, setup_globals

from gradlab.gpu import shares_gpu

_FEWEST = 32  # runs for which a process is worth its start


def launch_shares(launcher: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
    """Do the runs of a batch in as many processes as are worth it: on a GPU and for few runs, in this one.

    Args:
        launcher: Hydra's launcher, with its ``config``, ``hydra_context``, ``task_function``, ``width`` and ``n_jobs``.
        job_overrides: The overrides of each run.
        initial_job_idx: Number of the first of them in the sweep.

    Returns:
        What each run returned, in their order.
    """
    count = min(len(job_overrides) // _FEWEST, joblib.effective_n_jobs(launcher.n_jobs))
    if count < 2 or shares_gpu(launcher.config):
        from gradlab.fused.launch import launch

        return launch(launcher, job_overrides, initial_job_idx)
    given = {name: getattr(launcher, name) for name in ("config", "hydra_context", "task_function", "width")}
    # One after another, not dealt out: runs that are neighbours in a sweep are more likely of one shape.
    size = -(-len(job_overrides) // count)
    shares = joblib.Parallel(n_jobs=count, backend="loky")(
        joblib.delayed(_share)(given, job_overrides[start : start + size], initial_job_idx + start, count, state)
        for state in [Singleton.get_state()]
        for start in range(0, len(job_overrides), size)
    )
    return [each for share in shares for each in share or ()]


def _share(
    given: dict[str, Any], job_overrides: Sequence[Sequence[str]], first: int, processes: int, state: Any
) -> list[JobReturn]:
    """Do one process's runs."""
    from gradlab.fused.launch import launch

    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    setup_globals()
    Singleton.set_state(state)
    done = launch(SimpleNamespace(**given), job_overrides, first, processes=processes)
    for each in done:
        each.cfg = each.hydra_cfg = None  # nobody asks for them, and their way back takes as long as some runs
    return done


def _end_with(parent: int) -> None:
    """End this process once its parent is gone: else, after a kill, it would go on beside the same command again."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
