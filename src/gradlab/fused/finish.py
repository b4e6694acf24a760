"""Finish a run that was trained in a group: its run.json, and the files and callbacks of a Hydra job."""

import os
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from gradlab.artifacts.record import describe_error
from gradlab.config import hydra_files
from gradlab.config.hydra_compat import configure_log
from gradlab.fused.train_group import Member
from gradlab.run import console
from gradlab.run.opening import Opening
from gradlab.run.outcome import pass_gate, record_failure


def finish(launcher: Any, config: DictConfig, member: Member) -> JobReturn:
    """Write the files and call the callbacks of Hydra's ``run_job`` for a trained run.

    ``run_job`` itself copies the config three times, which takes longer than finishing a small run. A test compares
    what both leave.

    Args:
        launcher: Hydra's launcher, with its ``hydra_context`` and ``task_function``.
        config: The run's whole config, which `hydra_config` has made current.
        member: The run.
    """
    hydra, callbacks = config.hydra, launcher.hydra_context.callbacks
    configure_log(hydra.job_logging, hydra.verbose)
    overrides = OmegaConf.to_container(hydra.overrides.task)
    if hydra.output_subdir is not None:
        plain = OmegaConf.to_container(hydra, enum_to_str=True)
        task = OmegaConf.to_container(member.cfg, enum_to_str=True)
        place = Path(hydra.runtime.output_dir, hydra.output_subdir)
        hydra_files.write(place, task=task, hydra=plain, overrides=overrides)
    callbacks.on_job_start(config=config, task_function=launcher.task_function)
    done = JobReturn(overrides=list(hydra.overrides.task), cfg=member.cfg, working_dir=os.getcwd())
    done.task_name = hydra.job.name
    done.return_value = conclude(member)
    done.status = JobStatus.COMPLETED
    callbacks.on_job_end(config=config, job_return=done)
    return done


def conclude(member: Member) -> float | None:
    """Diagnose a run that was trained in a group and write its run.json, as for a run of any sweep.

    Returns:
        The metric named by ``objective``; None if it was not measured or the run failed.
    """
    session = member.session
    if session is None:
        raise RuntimeError(f"{member.folder.name} has not been trained")
    record = member.record
    try:
        opening = Opening(member.folder, write_config=lambda: None, in_sweep=True)
        with record_failure(member.cfg, member.folder, record, opening=opening, brief=True):
            for line in record.get("warnings", ()):
                console.say(f"warning: {line}")
            session.end(seconds=member.seconds)
        console.summarize(member.folder, record, brief=True, theory=member.cfg.train.measure_only)
        return pass_gate(member.cfg, record, member.start.gate, member.folder, alone=False)
    except Exception as error:
        console.say(f"failed: {describe_error(error)} ({member.folder.name})")
        return None
