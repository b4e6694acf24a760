"""A batch of a sweep's runs: what is one tensor program is trained as one, and the rest alone."""

import copy
import json
import pickle
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, filter_overrides, run_job, setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from gradlab.artifacts.environment import describe_environment
from gradlab.artifacts.record import describe_error
from gradlab.compat.torch_private import spare_compiler
from gradlab.config.hydra_compat import building_allowed, configure_log
from gradlab.config.hydra_private import hydra_config
from gradlab.fused.finish import finish
from gradlab.fused.group_size import choose_width
from gradlab.fused.grouping import obstacle, program
from gradlab.fused.network import UnfusableError
from gradlab.fused.startup import uncollected
from gradlab.fused.train_group import Member, Shared, train
from gradlab.run import console
from gradlab.run.execute import prepare
from gradlab.sweep.summary import together

_MERGED = "logger"  # the one group of which several options can be taken


@dataclass(kw_only=True)
class Job:
    """One run of the batch.

    Attributes:
        config: The composed config, Hydra's part and all.
        overrides: Of this run.
        folder: Its folder.
        member: What is trained in a group, or has been.
        reason: Why it runs alone, as far as that is worth a line.
    """

    config: DictConfig
    overrides: Sequence[str]
    folder: Path
    member: Member | None = None
    reason: str | None = None


def launch(
    launcher: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int, *, processes: int = 1
) -> list[JobReturn]:
    """Do the runs of a batch, in this process.

    Args:
        launcher: Hydra's launcher, with its ``config``, ``hydra_context``, ``task_function`` and ``width``.
        job_overrides: The overrides of each run.
        initial_job_idx: Number of the first of them in the sweep.
        processes: How many share the memory.

    Returns:
        What each run returned, in their order.
    """
    setup_globals()
    hydra = launcher.config.hydra
    configure_log(hydra.hydra_logging, hydra.verbose)
    Path(str(hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    spare_compiler()
    with building_allowed(launcher.hydra_context), uncollected() as keep:
        return _launch(launcher, job_overrides, initial_job_idx, keep, choose=partial(choose_width, sharing=processes))


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
    environment, load = cache(describe_environment), Shared()
    for group in _groups(jobs, most=launcher.width):
        members = [each.member for each in group if each.member is not None]
        if len(members) > 1:
            try:
                train(members, load=load, environment=environment, keep=keep, **training)
            except UnfusableError as error:
                _give_up(group, str(error))
            except Exception as error:  # alone, what is wrong with a run is its own and told as ever
                _give_up(group, f"the group failed with {describe_error(error)}")
        with together(Path(hydra.sweep.dir)) if group[0].member is not None else nullcontext():
            for each in group:
                returned[id(each)] = _run(launcher, each)
                each.member = None
        configure_log(hydra.hydra_logging, hydra.verbose)
    return [returned[id(each)] for each in jobs]


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
    """Yield the runs in groups of at most ``most``, a run alone as a group of one."""
    groups: dict[Any, list[Job]] = defaultdict(list)
    for each in jobs:
        groups[_enlist(each) or id(each)].append(each)
    for group in groups.values():
        for start in range(0, len(group), most):
            part = group[start : start + most]
            if len(part) == 1 and part[0].member is not None:
                _give_up(part, "no other run has its shape")
            yield part


def _enlist(each: Job) -> str | None:
    """Make a run a member of a group, and return the group's key; None for a run that goes alone."""
    lists = (text.partition("=") for text in each.overrides)
    with hydra_config(each.config):
        cfg = _copy(each.config)
        with read_write(cfg), open_dict(cfg):
            del cfg["hydra"]
        try:
            hydra = each.config.hydra
            given = {"overrides": list(hydra.overrides.task), "choices": hydra.runtime.choices}
            start = prepare(cfg, each.folder, **given)
            text = json.dumps(OmegaConf.to_container(cfg), default=str)
        except Exception:  # alone, it tells its error and writes it down
            return None
    if start.finished:
        return None
    if any(value.startswith("[") and "." not in key and key != _MERGED for key, _, value in lists):
        return None  # several options of one group: refused, alone
    each.reason = obstacle(start.config)
    if start.saved:
        each.reason = "it goes on from its checkpoint"
    if each.config.hydra.job.env_set or each.config.hydra.job.chdir or "${hydra:" in text:
        each.reason = "its config looks at Hydra's own, or has it change the run's surroundings"
    if each.reason is not None:
        return None
    each.member = Member(cfg=cfg, folder=each.folder, record=start.record, start=start)
    each.folder.mkdir(parents=True, exist_ok=True)
    return program(start.config)


def _copy(config: DictConfig) -> DictConfig:
    """Return a copy, several times as fast as copy.deepcopy where that can be."""
    try:
        return pickle.loads(pickle.dumps(config))
    except pickle.PicklingError:  # composed anew, it holds classes of Hydra's that its plugins have loaded twice
        return copy.deepcopy(config)


def _give_up(group: Sequence[Job], reason: str) -> None:
    for each in group:
        each.member, each.reason = None, reason


def _run(launcher: Any, each: Job) -> JobReturn:
    """Do a run alone, or bring one that was trained in a group to its end, under Hydra's eyes."""
    number, overrides = each.config.hydra.job.num, " ".join(filter_overrides(each.overrides))
    console.say(f"\t#{number} : {overrides}")
    if each.reason is not None:
        console.say(f"{each.folder.name} runs alone: {each.reason}")
    if each.member is not None:
        with hydra_config(each.config):
            return finish(launcher, each.config, each.member)
    return run_job(
        hydra_context=launcher.hydra_context,
        task_function=launcher.task_function,
        config=each.config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
