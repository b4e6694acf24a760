"""Execution of one run: build, train, record, diagnose, draw."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gradlab.artifacts.environment import Environment, describe_environment
from gradlab.artifacts.fingerprint import differences
from gradlab.artifacts.lock import HeldError, holding
from gradlab.artifacts.record import RunRecord, describe_error, write_run
from gradlab.config import build, hydra_files
from gradlab.loggers.fan_out import Following
from gradlab.norms import quiet
from gradlab.run import console, lr_range
from gradlab.run.assemble import assemble, find_device
from gradlab.run.opening import Opening
from gradlab.run.outcome import pass_gate, record_failure
from gradlab.run.prepare import prepare
from gradlab.run.session import Session, Start, open_session
from gradlab.train.interrupts import interruptible


def run(cfg: DictConfig) -> float | None:
    """Run a config as Hydra's task and leave the files in Hydra's output folder.

    Args:
        cfg: The composed config.

    Returns:
        The metric named by ``objective``, for an optimizing sweeper. None if it was not measured, and for a run of a
        sweep that failed or that another process is doing; the other runs continue.

    Raises:
        GradlabError: The config cannot be run, or the run does not pass its gate. In a sweep neither is raised: both
            are recorded in run.json.
        KeyboardInterrupt: The run was interrupted; its files are complete up to that step.
    """
    hydra = HydraConfig.get()
    in_sweep = hydra.mode == RunMode.MULTIRUN
    folder = Path(hydra.runtime.output_dir)
    try:
        overrides, choices = list(hydra.overrides.task), hydra.runtime.choices
        write = hydra_files.deferred(cfg, folder)
        return execute(cfg, folder, overrides=overrides, choices=choices, brief=in_sweep, write_config=write)
    except HeldError as error:
        if not in_sweep:
            raise
        console.say(f"skipped: {error}")
        return None
    except Exception as error:
        if not in_sweep:
            hydra_files.remove_if_empty(folder)
            raise
        console.say(f"failed: {describe_error(error)} ({folder.name})")
        return None


def execute(
    cfg: DictConfig,
    folder: Path,
    *,
    overrides: Sequence[str] = (),
    choices: Mapping[str, Any],
    brief: bool = False,
    resume: bool = False,
    write_config: Callable[[], None] = lambda: None,
) -> float | None:
    """Run a config and write its files into a folder; an error is recorded there and raised.

    If the folder holds a run with the same fingerprint, a finished one is reported and not repeated, and an unfinished
    one is resumed from its checkpoint. Everything is built before the first byte is written, so that a config that
    cannot be built changes nothing in the folder of an earlier run. The folder's lock is held meanwhile.

    Args:
        cfg: The composed config.
        folder: The run's folder.
        overrides: The overrides of the command line, to warn of those without effect.
        choices: The option chosen of each group, for captions.
        brief: Whether to print one line only and to draw nothing, as for a run of a sweep. Such a run overwrites a run
            of another config in its folder; any other does only with ``overwrite=true``.
        resume: Whether the folder must hold a run of this config.
        write_config: Writes Hydra's own files into the folder.

    Returns:
        The metric named by ``objective``; None if it was not measured.

    Raises:
        HeldError: Another process writes the folder.
        GradlabError: The config cannot be run, or the run does not pass its gate.
        KeyboardInterrupt: The run was interrupted; its files are complete up to that step.
    """
    foreign = "resume" if resume else "overwrite" if brief or cfg.get("overwrite") else "refuse"
    # loggers are closed last, once the files are complete
    with holding(folder), Following(folder, warn=console.say) as following:
        record: RunRecord = {"status": "failed"}
        opening = Opening(folder, write_config=write_config, in_sweep=brief)
        with record_failure(cfg, folder, record, opening=opening, brief=brief):
            start = prepare(cfg, folder, overrides=overrides, choices=choices, foreign=foreign)
            opening.check(start)
            record |= start.record
            if start.finished:
                console.say(f"already complete: {folder}")
            else:
                for line in record.get("warnings", ()):
                    console.say(f"warning: {line}")
                if cfg.train.lr_range:
                    _search(cfg, folder, record, opening)
                else:
                    _train(cfg, folder, record, following, start=start, opening=opening, brief=brief)
        # A sweep draws all runs at its end: drawing a small run alone takes longer than training it.
        if cfg.figures and not brief and not (record.get("figures") and any(folder.glob("figures/*"))):
            from gradlab.run.draw import rebuild_run

            rebuild_run(folder, caption=console.caption(cfg, choices))
            record["figures"] = True  # set after drawing, so that a run killed while drawing is drawn again
        _report(cfg, folder, record, choices, finished=start.finished, brief=brief)
        return pass_gate(cfg, record, start.gate, folder, alone=not brief)


def _train(
    cfg: DictConfig,
    folder: Path,
    record: RunRecord,
    following: Following,
    *,
    start: Start,
    opening: Opening,
    brief: bool,
) -> None:
    """Build, train, and write everything but the figures; ``record`` becomes the content of run.json.

    Args:
        cfg: A checked config.
        folder: The run's folder.
        record: The content of run.json so far.
        following: Loggers of the run, not yet open.
        start: The config in other forms, and the checkpoint to resume from.
        opening: The first write, done once everything is built.
        brief: Whether to show no progress.

    Raises:
        KeyboardInterrupt: The run was interrupted; its files are complete up to that step.
    """
    saved = start.saved
    known = saved["lr_range"] if saved else None
    cfg, range_test = lr_range.settle(cfg, folder, known=known, begin=opening.begin, brief=brief)
    if range_test:
        record["lr_range"] = range_test
    loop = assemble(cfg)
    opening.begin()
    environment = describe_environment(device=str(loop.device), threads=torch.get_num_threads())
    session = open_session(cfg, folder, record, loop, start=start, environment=environment, lr_range=range_test)
    for line in loop.warnings:
        console.say(f"warning: {line}")
    if saved:
        if line := _changed(saved["environment"], environment):
            record["warnings"] = [*record.get("warnings", ()), line]
            console.say(f"warning: {line}")
        console.say(f"resuming at step {loop.step}: {folder}")
    arguments = {"folder": folder, "config": OmegaConf.to_container(cfg, resolve=True), "start": loop.step}
    loggers = {name: build.build(node, f"logger.{name}", **arguments) for name, node in cfg.logger.items()}
    following.open(loggers, columns=cfg.follow.columns, layers=cfg.follow.layers)
    try:
        _follow(session, following, brief=brief)
        if cfg.train.checkpoint:
            session.save()
    finally:
        session.history.close()
    session.end(warnings=following.warnings)
    if loop.status == "interrupted":
        raise KeyboardInterrupt(console.how_to_resume(folder, loop.step, saved=cfg.train.checkpoint, brief=brief))


def _follow(session: Session, following: Following, *, brief: bool) -> None:
    """Train until the end or an interrupt; record, log and show each recorded step, and save when the loop pauses."""
    loop = session.loop
    with quiet(), interruptible(loop.interrupt), console.progress(0 if brief else loop.steps) as report:
        for metrics in loop.run():
            if metrics:
                recording = loop.probe.take()
                session.history.add(metrics, recording)
                following.log(metrics, recording.layers)
                report(metrics)
            if loop.pauses:
                session.save()


def _search(cfg: DictConfig, folder: Path, record: RunRecord, opening: Opening) -> None:
    """Run a range test in place of training; ``record`` becomes the content of run.json."""
    started = time.monotonic()
    result = lr_range.search(cfg, folder, begin=opening.begin)
    for stale in ("gradients.csv", "metrics.csv"):  # of an earlier run in this folder
        (folder / stale).unlink(missing_ok=True)
    device = str(find_device(cfg.train.device))
    record["environment"] = describe_environment(device=device, threads=torch.get_num_threads())
    record["lr_range"] = result
    record |= {"status": "completed", "steps": result["steps"], "seconds": time.monotonic() - started}
    record["metrics"] = dict.fromkeys(("train_loss", "eval_loss", "eval_accuracy"))
    record["verdicts"] = []
    record["theory"] = None
    write_run(folder, record)


def _changed(before: Environment, now: Environment) -> str | None:
    """Return a warning if a run is resumed under another Python or torch, or on another device; None otherwise."""
    lines = [line for name in ("python", "torch", "device") for line in differences(before[name], now[name], name)]
    return f"started with {'; '.join(lines)}: the last digits may differ" if lines else None


def _report(
    cfg: DictConfig, folder: Path, record: RunRecord, choices: Mapping[str, Any], *, finished: bool, brief: bool
) -> None:
    """Print the result of a range test or a summary of a trained run; nothing for a run that was complete before."""
    if cfg.train.lr_range and "lr_range" in record:
        console.announce_rate(folder, record["lr_range"], brief=brief)
    elif not finished:
        clips = choices.get("clipping", "none") != "none"
        console.summarize(folder, record, brief=brief, clips=clips, theory=cfg.train.measure_only)
