"""Execution of one run: build, train, record, diagnose, draw."""

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gradlab.artifacts.environment import Environment, describe_environment
from gradlab.artifacts.fingerprint import compute_fingerprint, decisive_part, differences, foreign_sources
from gradlab.artifacts.junit import check_place, write_junit
from gradlab.artifacts.record import RunRecord, clear_run, describe_error, write_run
from gradlab.config import build
from gradlab.diagnosis.gate import Gate
from gradlab.errors import GateError
from gradlab.loggers.fan_out import Following
from gradlab.norms import quiet
from gradlab.run import checkpoint, console, lr_range
from gradlab.run.assemble import assemble, find_device
from gradlab.run.session import Session, Start, open_session
from gradlab.train.interrupts import interruptible


def run(cfg: DictConfig) -> float | None:
    """Run a config as Hydra's task and leave the files in Hydra's output folder.

    Args:
        cfg: The composed config.

    Returns:
        The metric named by ``objective``, for an optimizing sweeper. None if it was not measured, or if the run failed
        in a sweep, whose other runs continue.

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
        return execute(cfg, folder, overrides=overrides, choices=choices, brief=in_sweep)
    except Exception as error:
        if not in_sweep:
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
) -> float | None:
    """Run a config and write its files into a folder; an error is recorded there and raised.

    If the folder holds a run with the same fingerprint, a finished one is reported and not repeated, and an unfinished
    one is resumed from its checkpoint.

    Args:
        cfg: The composed config.
        folder: The run's folder.
        overrides: The overrides of the command line, to warn of those without effect.
        choices: The option chosen of each group, for captions.
        brief: Whether to print one line only and to draw nothing, as for a run of a sweep.
        resume: Whether a run of another config in the folder is an error; otherwise it is overwritten.

    Returns:
        The metric named by ``objective``; None if it was not measured.

    Raises:
        GradlabError: The config cannot be run, or the run does not pass its gate.
        KeyboardInterrupt: The run was interrupted; its files are complete up to that step.
    """
    with Following(folder, warn=console.say) as following:  # loggers are closed last, once the files are complete
        record: RunRecord = {"status": "failed"}
        with record_failure(cfg, folder, record, brief=brief):
            start = prepare(cfg, folder, overrides=overrides, choices=choices, only_own=resume)
            record |= start.record
            if start.finished:
                console.say(f"already complete: {folder}")
            else:
                clear_run(folder, stale=start.saved is None)
                for line in record.get("warnings", ()):
                    console.say(f"warning: {line}")
                if cfg.train.lr_range:
                    _search(cfg, folder, record)
                else:
                    _train(cfg, folder, record, following, start=start, brief=brief)
        # A sweep draws all runs at its end: drawing a small run alone takes longer than training it.
        if cfg.figures and not brief and not (record.get("figures") and any(folder.glob("figures/*"))):
            from gradlab.run.draw import rebuild_run

            rebuild_run(folder, caption=console.caption(cfg, choices))
            record["figures"] = True  # set after drawing, so that a run killed while drawing is drawn again
        _report(cfg, folder, record, choices, finished=start.finished, brief=brief)
        return pass_gate(cfg, record, start.gate, folder, alone=not brief)


def prepare(
    cfg: DictConfig,
    folder: Path,
    *,
    overrides: Sequence[str],
    choices: Mapping[str, Any],
    only_own: bool = False,
) -> Start:
    """Check a config and look for its run in the folder; nothing is written.

    Args:
        cfg: The composed config; targets that have moved are replaced in place.
        folder: The run's folder.
        overrides: The overrides of the command line, to warn of those without effect.
        choices: The option chosen of each group, for the remedies.
        only_own: Whether a run of another config in the folder is an error.

    Raises:
        GradlabError: The config is not valid, the JUnit file cannot be written, or the folder holds another run.
    """
    build.update_targets(cfg)
    build.check(cfg)
    gate = build.build(cfg.gate, "gate")
    check_place(gate.junit)
    config = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    fingerprint = compute_fingerprint(config, foreign_sources(decisive_part(config)))
    finished, saved = checkpoint.find(folder, config=config, fingerprint=fingerprint, only_own=only_own)
    begun: RunRecord = {
        "status": "failed",
        "fingerprint": fingerprint,
        "seed": cfg.seed,
        "warnings": build.unused_groups(cfg, overrides),
    }
    return Start(
        record=finished or begun, config=config, choices=choices, gate=gate, finished=finished is not None, saved=saved
    )


@contextmanager
def record_failure(cfg: DictConfig, folder: Path, record: RunRecord, *, brief: bool) -> Iterator[None]:
    """Write error.log and run.json if the block raises, and raise the error again.

    Args:
        cfg: The composed config.
        folder: The run's folder.
        record: The content of run.json so far.
        brief: Whether the run is part of a sweep.
    """
    started = time.monotonic()
    try:
        yield
    except checkpoint.ForeignRunError:
        raise
    except Exception as error:
        (folder / "error.log").write_text(traceback.format_exc(), encoding="utf-8")
        record |= {"status": "failed", "error": describe_error(error), "seconds": time.monotonic() - started}
        write_run(folder, record)
        if cfg.gate.junit and not brief:
            with suppress(OSError):  # the first error must be raised, not one of writing the report
                write_junit(Path(cfg.gate.junit), {folder.name: record})
        raise


def pass_gate(cfg: DictConfig, record: RunRecord, gate: Gate, folder: Path, *, alone: bool) -> float | None:
    """Write to run.json whether a finished run passes its gate.

    Args:
        cfg: The composed config.
        record: The content of run.json.
        gate: The gate.
        folder: The run's folder.
        alone: Whether the run is not part of a sweep, which reports the gates of all runs at its end.

    Returns:
        The metric named by ``objective``; None if the run did not complete or did not measure it.

    Raises:
        GateError: The run is alone and does not pass.
    """
    metrics = record.get("metrics", {})
    record["gate"] = gate.reasons(status=record["status"], metrics=metrics, verdicts=record.get("verdicts", []))
    write_run(folder, record)
    if alone and gate.junit:
        write_junit(Path(gate.junit), {folder.name: record})
    if alone and record["gate"]:
        raise GateError(f"gate: {'; '.join(record['gate'])}")
    return metrics.get(cfg.objective) if record["status"] == "completed" else None


def _train(
    cfg: DictConfig,
    folder: Path,
    record: RunRecord,
    following: Following,
    *,
    start: Start,
    brief: bool,
) -> None:
    """Build, train, and write everything but the figures; ``record`` becomes the content of run.json.

    Args:
        cfg: A checked config.
        folder: The run's folder.
        record: The content of run.json so far.
        following: Loggers of the run, not yet open.
        start: The config in other forms, and the checkpoint to resume from.
        brief: Whether to show no progress.

    Raises:
        KeyboardInterrupt: The run was interrupted; its files are complete up to that step.
    """
    saved = start.saved
    cfg, range_test = lr_range.settle(cfg, folder, known=saved["lr_range"] if saved else None, brief=brief)
    if range_test:
        record["lr_range"] = range_test
    loop = assemble(cfg)
    environment = describe_environment(device=str(loop.device), threads=torch.get_num_threads())
    session = open_session(cfg, folder, record, loop, start=start, environment=environment, lr_range=range_test)
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
        console.say(f"interrupted after {loop.step} steps: {folder}")
        raise KeyboardInterrupt


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


def _search(cfg: DictConfig, folder: Path, record: RunRecord) -> None:
    """Run a range test in place of training; ``record`` becomes the content of run.json."""
    started = time.monotonic()
    for stale in ("gradients.csv", "metrics.csv"):  # of an earlier run in this folder
        (folder / stale).unlink(missing_ok=True)
    result = lr_range.search(cfg, folder)
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
