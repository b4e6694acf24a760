"""A batch of a sweep's runs in processes of their own, each of which trains its share as one.

On Linux the processes are forked from one that imported what they need while Hydra was still composing: a fork server.
"""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import joblib
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, setup_globals
from omegaconf import DictConfig, OmegaConf

from gradlab.launch.gpu import shares_gpu
from gradlab.launch.lost import lost

_FEWEST = 32  # runs for which a further process is worth its start
_FORKS = sys.platform == "linux"  # elsewhere it is unsafe once libraries are there, or impossible
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # numpy's: torch's are set for each run


def prepare(launcher: Any) -> None:
    """Let a fork server import what a sweep's runs need, without waiting for it; one that runs is left as it is.

    Args:
        launcher: Hydra's launcher, with its ``config`` and ``n_jobs``.
    """
    if _FORKS and not _stays(launcher):
        forkserver.set_forkserver_preload(["gradlab.fused.launch", *sorted(_own_modules(launcher.config))])
        with suppress(OSError), _surroundings(), _deaf():  # a process is then started without it
            forkserver.ensure_running()


def launch_shares(launcher: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
    """Do the runs of a batch in as many processes as are worth it: in this very one on a GPU, or for one job at a time.

    Args:
        launcher: Hydra's launcher, with its ``config``, ``hydra_context``, ``task_function``, ``width`` and ``n_jobs``.
        job_overrides: The overrides of each run.
        initial_job_idx: Number of the first of them in the sweep.

    Returns:
        What each run returned, in their order; a `Lost` for each run of a process that did not come to its end.
    """
    if _stays(launcher):
        from gradlab.fused.launch import launch

        return launch(launcher, job_overrides, initial_job_idx)
    prepare(launcher)
    count = max(1, min(len(job_overrides) // _FEWEST, joblib.effective_n_jobs(launcher.n_jobs)))
    given = {name: getattr(launcher, name) for name in ("config", "hydra_context", "task_function", "width")}
    # One after another, not dealt out: runs that are neighbours in a sweep are more likely of one shape.
    size = -(-len(job_overrides) // count)
    starts = range(0, len(job_overrides), size)
    shares = [job_overrides[start : start + size] for start in starts]
    processes = []
    try:
        for start, share in zip(starts, shares, strict=True):
            processes.append(_start())
            work = (given, Singleton.get_state(), share, initial_job_idx + start, count)
            with suppress(OSError):  # it has ended already: there will be no answer
                processes[-1].line.send(joblib.wrap_non_picklable_objects(work, keep_wrapper=False))
        return [
            each for share, process in zip(shares, processes, strict=True) for each in process.receive(count=len(share))
        ]
    finally:
        for process in processes:
            process.end()


@dataclass(frozen=True, kw_only=True)
class _Trainer:
    """A process that does a share, and this end of the line to it."""

    process: Any
    line: Connection

    def receive(self, *, count: int) -> list[JobReturn]:
        """Wait for its answer, for ``count`` runs."""
        try:
            return self.line.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            self.process.join()
            return [lost(f"exit code {self.process.exitcode}") for _ in range(count)]

    def end(self) -> None:
        """End it, if it has not ended."""
        self.process.terminate()
        self.process.join()


def _start() -> _Trainer:
    """Start a process that waits for its share; where the fork server has none to give, a fresh one."""
    if _FORKS:
        with suppress(OSError):
            return _started("forkserver")
    return _started("spawn")


def _started(method: str) -> _Trainer:
    """Start it by a method of multiprocessing.

    It does not import the module that this one was started from, which need not say ``if __name__ == "__main__"``.
    """
    context: Any = multiprocessing.get_context(method)
    line, end = context.Pipe()
    process = context.Process(target=_share, args=(end,))
    with _surroundings(), patch.dict(sys.modules, {"__main__": ModuleType("__main__")}):
        process.start()
    end.close()  # the process has its own: were it to end without an answer, nobody would hold one
    return _Trainer(process=process, line=line)


def _stays(launcher: Any) -> bool:
    return launcher.n_jobs == 1 or shares_gpu(launcher.config)


def _own_modules(node: Any) -> set[str]:
    """Return the modules of gradlab that hold the targets of a config."""
    if isinstance(node, DictConfig):
        node = OmegaConf.to_container(OmegaConf.masked_copy(node, [str(key) for key in node if key != "hydra"]))
    if not isinstance(node, dict):
        return set()
    target = str(node.get("_target_", ""))
    own = {target.rpartition(".")[0]} if target.startswith("gradlab.") else set[str]()
    return own.union(*map(_own_modules, node.values()))


@contextmanager
def _surroundings() -> Iterator[None]:
    """Start processes whose numpy uses one thread, unless the user says otherwise."""
    with patch.dict(os.environ, {name: os.environ.get(name, "1") for name in _THREADS}):
        yield


@contextmanager
def _deaf() -> Iterator[None]:
    """Start processes that do not hear Ctrl-C: this one does, and ends them."""
    resource_tracker.ensure_running()  # once: its start would take the signal off the blocked ones
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _share(line: Connection) -> None:
    """Do one process's runs."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        given, state, job_overrides, first, processes = line.recv()
    except EOFError:  # Ctrl-C came before the work
        return
    from gradlab.fused.launch import launch

    setup_globals()
    Singleton.set_state(state)
    done = launch(SimpleNamespace(**given), job_overrides, first, processes=processes)
    for each in done:
        each.cfg = each.hydra_cfg = None  # nobody asks for them, and their way back takes as long as some runs
    line.send(done)


def _end_with_parent() -> None:
    """End this process once its parent is gone: else, after a kill, it would go on beside the same command again."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
