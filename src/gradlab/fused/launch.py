"""Launch a batch of a sweep's runs: runs of one shape as one tensor program, the others one by one."""

import copy
import json
import pickle
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, filter_overrides, run_job, setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from gradlab.artifacts.environment import describe_environment
from gradlab.artifacts.lock import HeldError, holding
from gradlab.artifacts.record import describe_error
from gradlab.compat.torch_private import avoid_compiler_import
from gradlab.config.hydra_compat import building_allowed, configure_log
from gradlab.config.hydra_private import hydra_config
from gradlab.fused.finish import finish
from gradlab.fused.group_size import choose_group_size
from gradlab.fused.grouping import obstacle, program
from gradlab.fused.long_lived import uncollected
from gradlab.fused.network import UnfusableError
from gradlab.fused.train_group import Member, SharedData, train
from gradlab.run import checkpoint, console
from gradlab.run.prepare import prepare
from gradlab.sweep.summary import together

_MERGED = "logger"  # the only group that takes several options at once


@dataclass(kw_only=True)
class Job:
    """One run of the batch.

    Attributes:
        config: The composed config with its hydra node.
        overrides: The run's overrides.
        folder: The run's folder.
        member: The run as part of a group; None for a run that is trained alone.
        reason: Why the run is trained alone, if that is worth a line of output.
    """

    config: DictConfig
    overrides: Sequence[str]
    folder: Path
    member: Member | None = None
    reason: str | None = None


def launch(
    launcher: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int, *, processes: int = 1
) -> list[JobReturn]:
    """Run a batch in this process.

    Args:
        launcher: Hydra's launcher, with its ``config``, ``hydra_context``, ``task_function`` and ``width``.
        job_overrides: The overrides of each run.
        initial_job_idx: Number of the first of them in the sweep.
        processes: Number of processes that share the memory.

    Returns:
        The return value of each run, in the order of the runs.
    """
    setup_globals()
    hydra = launcher.config.hydra
    configure_log(hydra.hydra_logging, hydra.verbose)
    Path(str(hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    avoid_compiler_import()
    with building_allowed(launcher.hydra_context), uncollected() as keep:
        return _launch(
            launcher, job_overrides, initial_job_idx, keep, choose=partial(choose_group_size, sharing=processes)
        )


def _launch(
    launcher: Any,
    job_overrides: Sequence[Sequence[str]],
    initial_job_idx: int,
    keep: Callable[[], None],
    **training: Any,
) -> list[JobReturn]:
    hydra = launcher.config.hydra
    jobs = []
    for i, overrides in enumerate(job_overrides):
        jobs.append(_compose(launcher, overrides, initial_job_idx + i))
        keep()
    returned: dict[int, JobReturn] = {}
    environment, load = cache(describe_environment), SharedData()
    for group in _groups(jobs, most=launcher.width):
        fusable = group[0].member is not None
        with ExitStack() as locks:
            _hold(group, locks)
            members = [job.member for job in group if job.member is not None]
            if len(members) > 1:
                try:
                    train(members, load=load, environment=environment, keep=keep, **training)
                except UnfusableError as error:
                    _train_alone(group, str(error))
                except Exception as error:  # fall back to single runs: each then reports its own error
                    _train_alone(group, f"the group failed with {describe_error(error)}")
            elif members:
                _train_alone(group, "no other run has its shape")
            if all(job.member is None for job in group):
                locks.close()  # runs that are trained alone take their own locks
            with together(Path(hydra.sweep.dir)) if fusable else nullcontext():
                for job in group:
                    returned[id(job)] = _run(launcher, job)
                    job.member = None
        configure_log(hydra.hydra_logging, hydra.verbose)
    return [returned[id(job)] for job in jobs]


def _hold(group: Sequence[Job], locks: ExitStack) -> None:
    """Take the locks of the runs to fuse; one that another process does or has done is left to `run_job`, alone."""
    for job in group:
        member = job.member
        if member is None:
            continue
        with ExitStack() as own:
            try:
                own.enter_context(holding(job.folder))
            except HeldError:
                job.member = None
                continue
            fingerprint = member.start.record.get("fingerprint", "")
            found = checkpoint.find(
                job.folder, config=member.start.config, fingerprint=fingerprint or "", foreign="overwrite"
            )
            if found == (None, None):
                locks.push(own.pop_all())
            else:
                job.member = None


def _compose(launcher: Any, overrides: Sequence[str], number: int) -> Job:
    config = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, list(overrides))
    with open_dict(config):
        config.hydra.job.id, config.hydra.job.num = str(number), number
    with hydra_config(config):
        folder = Path(config.hydra.sweep.dir, config.hydra.sweep.subdir).absolute()
        with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = str(folder)
    return Job(config=config, overrides=overrides, folder=folder)


def _groups(jobs: Sequence[Job], *, most: int) -> Iterator[list[Job]]:
    """Yield the runs in groups of at most ``most``; a run that cannot be fused is a group of one."""
    groups: dict[Any, list[Job]] = defaultdict(list)
    for job in jobs:
        groups[_add_member(job) or id(job)].append(job)
    for group in groups.values():
        for start in range(0, len(group), most):
            part = group[start : start + most]
            if len(part) == 1 and part[0].member is not None:
                _train_alone(part, "no other run has its shape")
            yield part


def _add_member(job: Job) -> str | None:
    """Set a job's member and return the key of its group; None, with the reason set, for a run to be trained alone."""
    settings = (text.partition("=") for text in job.overrides)
    with hydra_config(job.config):
        cfg = _copy(job.config)
        with read_write(cfg), open_dict(cfg):
            del cfg["hydra"]
        try:
            hydra = job.config.hydra
            origin = {"overrides": list(hydra.overrides.task), "choices": hydra.runtime.choices}
            start = prepare(cfg, job.folder, **origin)
            text = json.dumps(OmegaConf.to_container(cfg), default=str)
        except Exception:  # trained alone, the run reports its own error
            return None
    if start.finished:
        return None
    if any(value.startswith("[") and "." not in key and key != _MERGED for key, _, value in settings):
        return None  # several options of one group: the run alone refuses them
    job.reason = obstacle(start.config)
    if start.saved:
        job.reason = "it resumes from its checkpoint"
    if job.config.hydra.job.env_set or job.config.hydra.job.chdir or "${hydra:" in text:
        job.reason = "its config reads ${hydra:…}, or sets hydra.job.env_set or hydra.job.chdir"
    if job.reason is not None:
        return None
    job.member = Member(cfg=cfg, folder=job.folder, record=start.record, start=start)
    job.folder.mkdir(parents=True, exist_ok=True)
    return program(start.config)


def _copy(config: DictConfig) -> DictConfig:
    """Return a copy; pickling is several times as fast as copy.deepcopy."""
    try:
        return pickle.loads(pickle.dumps(config))
    except pickle.PicklingError:  # Hydra's plugin loader imports some classes twice, and pickle finds only one
        return copy.deepcopy(config)


def _train_alone(group: Sequence[Job], reason: str) -> None:
    for job in group:
        job.member, job.reason = None, reason


def _run(launcher: Any, job: Job) -> JobReturn:
    """Run a job alone, or finish one that was trained in a group."""
    number, overrides = job.config.hydra.job.num, " ".join(filter_overrides(job.overrides))
    console.say(f"\t#{number} : {overrides}")
    if job.reason is not None:
        console.say(f"{job.folder.name} runs alone: {job.reason}")
    if job.member is not None:
        with hydra_config(job.config):
            return finish(launcher, job.config, job.member)
    return run_job(
        hydra_context=launcher.hydra_context,
        task_function=launcher.task_function,
        config=job.config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
