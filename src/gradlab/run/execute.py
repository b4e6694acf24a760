"""One run from start to end: build, train, record, diagnose, draw."""

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
        The metric named by ``objective``, for an optimizing sweeper; None where it was not measured, and for a run that
        failed in a sweep, where the other runs continue.

    Raises:
        GradlabError: The config cannot be run, or the run does not pass its gate; in a sweep run.json records both.
        KeyboardInterrupt: After what was recorded has been written.
    """
    hydra = HydraConfig.get()
    one_of_many = hydra.mode == RunMode.MULTIRUN
    folder = Path(hydra.runtime.output_dir)
    try:
        overrides, choices = list(hydra.overrides.task), hydra.runtime.choices
        return execute(cfg, folder, overrides=overrides, choices=choices, brief=one_of_many)
    except Exception as error:
        if not one_of_many:
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
    """Run a config and leave its files in a folder; an error is recorded there and raised.

    A finished run that the folder holds under the same fingerprint is reported and not run again; one that was cut off
    is resumed from its checkpoint.

    Args:
        cfg: The composed config.
        folder: Where the files go.
        overrides: The command line, to warn of what has no effect.
        choices: The option chosen of each group, for captions.
        brief: Whether to print one line only and to draw nothing, as one run of many.
        resume: Whether a run of another config in the folder is an error; otherwise it is overwritten.

    Returns:
        The metric named by ``objective``; None where it was not measured.

    Raises:
        GradlabError: The config cannot be run, or the run does not pass its gate.
        KeyboardInterrupt: After what was recorded has been written.
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
        # A sweep draws its runs together, at its end: one by one, that would take longer than small runs themselves.
        if cfg.figures and not brief and not (record.get("figures") and any(folder.glob("figures/*"))):
            from gradlab.run.draw import rebuild_run

            rebuild_run(folder, caption=console.caption(cfg, choices))
            record["figures"] = True  # set after drawing, so that a run that is killed while it draws draws again
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
        cfg: The composed config; targets that have moved are replaced in it.
        folder: Where the files go.
        overrides: The command line, to warn of what has no effect.
        choices: The option chosen of each group, for the remedies.
        only_own: Whether it is an error that the folder holds a run of another config.
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
        record: What is known of the run.
        brief: Whether it is one run of many.
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
            with suppress(OSError):  # raise the first error, not one of writing about it
                write_junit(Path(cfg.gate.junit), {folder.name: record})
        raise


def pass_gate(cfg: DictConfig, record: RunRecord, gate: Gate, folder: Path, *, alone: bool) -> float | None:
    """Write why a finished run does not pass its gate, if it does not; a sweep reports that for all runs at its end.

    Returns:
        The metric named by ``objective``, of a completed run.

    Raises:
        GateError: A run that is alone does not pass.
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
        folder: Where the files go.
        record: What is known so far.
        following: Loggers of the run, to be opened.
        start: The same config in other forms, and the checkpoint to resume from.
        brief: Whether to show no progress.

    Raises:
        KeyboardInterrupt: After what was recorded has been written.
    """
    saved = start.saved
    cfg, found = lr_range.settle(cfg, folder, known=saved["lr_range"] if saved else None, brief=brief)
    if found:
        record["lr_range"] = found
    loop = assemble(cfg)
    environment = describe_environment(device=str(loop.device), threads=torch.get_num_threads())
    session = open_session(cfg, folder, record, loop, start=start, environment=environment, lr_range=found)
    if saved:
        if line := _changed(saved["environment"], environment):
            record["warnings"] = [*record.get("warnings", ()), line]
            console.say(f"warning: {line}")
        console.say(f"going on at step {loop.step}: {folder}")
    given = {"folder": folder, "config": OmegaConf.to_container(cfg, resolve=True), "start": loop.step}
    loggers = {name: build.build(node, f"logger.{name}", **given) for name, node in cfg.logger.items()}
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
    """Train to the end or to an interrupt; record, log and show each recorded step, and save where the loop pauses."""
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
    for left in ("gradients.csv", "metrics.csv"):  # by an earlier run in this folder
        (folder / left).unlink(missing_ok=True)
    found = lr_range.search(cfg, folder)
    device = str(find_device(cfg.train.device))
    record["environment"] = describe_environment(device=device, threads=torch.get_num_threads())
    record["lr_range"] = found
    record |= {"status": "completed", "steps": found["steps"], "seconds": time.monotonic() - started}
    record["metrics"] = dict.fromkeys(("train_loss", "eval_loss", "eval_accuracy"))
    record["verdicts"] = []
    record["theory"] = None
    write_run(folder, record)


def _changed(before: Environment, now: Environment) -> str | None:
    """Return a warning if a run is resumed under another Python or torch, or on another device; None otherwise."""
    lines = [line for name in ("python", "torch", "device") for line in differences(before[name], now[name], name)]
    return f"begun with {'; '.join(lines)}: the last digits may be others" if lines else None


def _report(
    cfg: DictConfig, folder: Path, record: RunRecord, choices: Mapping[str, Any], *, finished: bool, brief: bool
) -> None:
    """Print the result of a range test, or a summary of a run that has just been trained."""
    if cfg.train.lr_range and "lr_range" in record:
        console.announce_rate(folder, record["lr_range"], brief=brief)
    elif not finished:
        clips = choices.get("clipping", "none") != "none"
        console.summarize(folder, record, brief=brief, clips=clips, theory=cfg.train.measure_only)
