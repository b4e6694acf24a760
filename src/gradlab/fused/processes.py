"""Run a batch in worker processes, each of which fuses its own share of the runs.

On Linux the workers are forked from a fork server, which imports torch and the rest while Hydra is still composing.
"""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from types import ModuleType, SimpleNamespace
from typing import Any

import joblib
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, setup_globals
from omegaconf import DictConfig, OmegaConf

from gradlab.launch.gpu import shares_gpu
from gradlab.launch.lost import lost

_FEWEST = 32  # fewest runs for which one more worker process pays for its start
_FORKS = sys.platform == "linux"  # on macOS forking is unsafe once libraries have started threads; Windows has no fork
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)  # for numpy; torch's thread count is set by each run


def prepare(launcher: Any) -> None:
    """Start the fork server, which imports the modules that a sweep's runs need; return without waiting for it.

    Args:
        launcher: Hydra's launcher, with its ``config`` and ``n_jobs``.
    """
    if _FORKS and not _in_this_process(launcher):
        forkserver.set_forkserver_preload(["gradlab.fused.launch", *sorted(_own_modules(launcher.config))])
        with suppress(OSError), _one_thread(), _sigint_blocked():  # after an error, workers are spawned
            forkserver.ensure_running()


def launch_shares(launcher: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
    """Run a batch in worker processes; in this process on a GPU or with n_jobs=1.

    Args:
        launcher: Hydra's launcher, with its ``config``, ``hydra_context``, ``task_function``, ``width`` and ``n_jobs``.
        job_overrides: The overrides of each run.
        initial_job_idx: Number of the first of them in the sweep.

    Returns:
        The return value of each run, in the order of the runs; a `Lost` for each run of a process that died.
    """
    if _in_this_process(launcher):
        from gradlab.fused.launch import launch

        return launch(launcher, job_overrides, initial_job_idx)
    prepare(launcher)
    count = max(1, min(len(job_overrides) // _FEWEST, joblib.effective_n_jobs(launcher.n_jobs)))
    attributes = {name: getattr(launcher, name) for name in ("config", "hydra_context", "task_function", "width")}
    # Consecutive runs to one process: neighbours in a sweep are more likely to have one shape.
    size = -(-len(job_overrides) // count)
    starts = range(0, len(job_overrides), size)
    shares = [job_overrides[start : start + size] for start in starts]
    processes = []
    try:
        for start, share in zip(starts, shares, strict=True):
            processes.append(_start())
            work = (attributes, Singleton.get_state(), share, initial_job_idx + start, count)
            with suppress(OSError):  # a worker that died already: receive() returns Lost
                processes[-1].line.send(joblib.wrap_non_picklable_objects(work, keep_wrapper=False))
        return [
            result
            for share, process in zip(shares, processes, strict=True)
            for result in process.receive(count=len(share))
        ]
    finally:
        for process in processes:
            process.end()


@dataclass(frozen=True, kw_only=True)
class _Worker:
    """A worker process and our end of the pipe to it."""

    process: Any
    line: Connection

    def receive(self, *, count: int) -> list[JobReturn]:
        """Wait for the results of its ``count`` runs."""
        try:
            return self.line.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            self.process.join()
            return [lost(f"exit code {self.process.exitcode}") for _ in range(count)]

    def end(self) -> None:
        """Terminate it, if it still runs."""
        self.process.terminate()
        self.process.join()


def _start() -> _Worker:
    """Start a worker, which waits for its share: forked from the fork server, or spawned if that fails."""
    if _FORKS:
        with suppress(OSError):
            return _started("forkserver")
    return _started("spawn")


def _started(method: str) -> _Worker:
    """Start a worker by a start method of multiprocessing.

    An empty ``__main__`` keeps it from importing the main module again, which then needs no ``__name__`` guard.
    """
    context: Any = multiprocessing.get_context(method)
    line, end = context.Pipe()
    process = context.Process(target=_share, args=(end,))
    with _one_thread(), _replaced(sys.modules, {"__main__": ModuleType("__main__")}):
        process.start()
    end.close()  # drop our copy, so that recv() raises EOFError if the worker dies
    return _Worker(process=process, line=line)


def _in_this_process(launcher: Any) -> bool:
    return launcher.n_jobs == 1 or shares_gpu(launcher.config)


def _own_modules(node: Any) -> set[str]:
    """Return the modules of gradlab that define the targets of a config."""
    if isinstance(node, DictConfig):
        node = OmegaConf.to_container(OmegaConf.masked_copy(node, [str(key) for key in node if key != "hydra"]))
    if not isinstance(node, dict):
        return set()
    target = str(node.get("_target_", ""))
    own = {target.rpartition(".")[0]} if target.startswith("gradlab.") else set[str]()
    return own.union(*map(_own_modules, node.values()))


@contextmanager
def _replaced(mapping: MutableMapping[str, Any], values: Mapping[str, Any]) -> Iterator[None]:
    """Set entries of a mapping within the block, and restore what was there before."""
    before = {name: mapping[name] for name in values if name in mapping}
    mapping.update(values)
    try:
        yield
    finally:
        for name in values:
            mapping.pop(name, None)
        mapping.update(before)


def _one_thread() -> AbstractContextManager[None]:
    """Return a context in which numpy in new processes uses one thread, unless the user set a number."""
    return _replaced(os.environ, {name: os.environ.get(name, "1") for name in _THREADS})


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block SIGINT in processes started within the block; this one handles Ctrl-C and terminates them."""
    resource_tracker.ensure_running()  # before: starting it would unblock the signal
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _share(line: Connection) -> None:
    """Run a share: the main function of a worker."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        attributes, state, job_overrides, first, processes = line.recv()
    except EOFError:  # the parent was interrupted before it sent the share
        return
    from gradlab.fused.launch import launch

    setup_globals()
    Singleton.set_state(state)
    done = launch(SimpleNamespace(**attributes), job_overrides, first, processes=processes)
    for result in done:
        result.cfg = result.hydra_cfg = None  # unused by the caller, and slow to pickle
    line.send(done)


def _end_with_parent() -> None:
    """Exit when the parent is gone: after a kill, this process would otherwise run on beside the repeated command."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
