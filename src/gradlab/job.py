"""One run from start to end: build, train, record, diagnose, draw."""

import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gradlab import build, checkpoint, console, lr_range, runs
from gradlab.assembly import assemble, find_device
from gradlab.diagnosis.gate import Gate
from gradlab.errors import GateError
from gradlab.findings import find
from gradlab.history import History
from gradlab.interrupts import interruptible
from gradlab.junit import check_place, write_junit
from gradlab.loggers.following import Following
from gradlab.norms import quiet
from gradlab.prediction import CRITICAL, compare_rows, critical_rows, peek, predict
from gradlab.verdicts import judge


def run(cfg: DictConfig) -> float | None:
    """Do one run and leave its files in Hydra's output folder.

    Args:
        cfg: The composed config.

    Returns:
        The metric named by ``objective``, for an optimizing sweeper; None where it was not measured, and for a run that
        failed in a sweep, where the other runs go on.

    Raises:
        GradlabError: The config asks for something that cannot be, or the gate does not let the run pass; in a sweep
            the run's run.json tells the latter.
        KeyboardInterrupt: After what was recorded has been written.
    """
    hydra = HydraConfig.get()
    one_of_many = hydra.mode == RunMode.MULTIRUN
    try:
        return execute(
            cfg,
            Path(hydra.runtime.output_dir),
            overrides=list(hydra.overrides.task),
            choices=hydra.runtime.choices,
            brief=one_of_many,
        )
    except Exception as error:
        if not one_of_many:
            raise
        console.say(f"failed: {runs.describe(error)} ({Path(hydra.runtime.output_dir).name})")
        return None


def execute(cfg: DictConfig, folder: Path, **options: Any) -> float | None:
    """Do what `run` does, without Hydra around it, and close the loggers once the files are whole.

    Args:
        cfg: The composed config.
        folder: Where the files go.
        **options: Of `do`.
    """
    with Following(folder, warn=console.say) as following:
        return do(cfg, folder, following=following, **options)


def do(
    cfg: DictConfig,
    folder: Path,
    *,
    following: Following,
    overrides: Sequence[str] = (),
    choices: Mapping[str, Any],
    brief: bool = False,
    resume: bool = False,
) -> float | None:
    """Do a run and leave its files in a folder; an error is written down and raised.

    A run that the folder holds already, under the same fingerprint, is not done again: a finished one is reported, and
    one that was cut off goes on from its checkpoint.

    Args:
        cfg: The composed config.
        folder: Where the files go.
        following: Loggers of the run, to be opened.
        overrides: The command line, to warn of what has no effect.
        choices: The option chosen of each group, for captions.
        brief: Whether to say no more than one line and to draw nothing, as one run of many should.
        resume: Whether a run of another config in the folder is an error; otherwise it is written over.
    """
    record: dict[str, Any] = {"status": "failed"}
    started = time.monotonic()
    try:
        build.check(cfg)
        gate = build.build(cfg.gate, "gate")
        check_place(gate.junit)
        config = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
        fingerprint = runs.fingerprint(config, runs.foreign_sources(runs.decisive(config)))
        before, saved = checkpoint.find(folder, config=config, fingerprint=fingerprint, only_own=resume)
        if before is None:
            runs.clear(folder, stale=saved is None)
            record |= {"fingerprint": fingerprint, "seed": cfg.seed, "warnings": build.unused_groups(cfg, overrides)}
            if cfg.train.lr_range:
                _search(cfg, folder, record)
            else:
                _train(cfg, folder, record, following, saved=saved, config=config, choices=choices, brief=brief)
        else:
            record = before
            console.say(f"already complete: {folder}")
    except checkpoint.ForeignRunError:
        raise
    except Exception as error:
        (folder / "error.log").write_text(traceback.format_exc(), encoding="utf-8")
        record |= {"status": "failed", "error": runs.describe(error), "seconds": time.monotonic() - started}
        runs.write_json(folder / "run.json", record)
        if cfg.gate.junit and not brief:
            with suppress(OSError):  # the error at hand is the one to tell
                write_junit(Path(cfg.gate.junit), {folder.name: record})
        raise
    # A sweep draws its runs together, at its end: one by one, that would take longer than small runs themselves.
    if cfg.figures and not brief and not (record.get("figures") and any(folder.glob("figures/*"))):
        from gradlab.sweep.rebuild import rebuild_run

        rebuild_run(folder, caption=console.caption(cfg, choices))
        record["figures"] = True  # said only now: a run that was killed while it drew has to draw again
    if cfg.train.lr_range:
        console.announce_rate(folder, record["lr_range"], brief=brief)
    elif record is not before:
        clips = choices.get("clipping", "none") != "none"
        console.summarize(folder, record, brief=brief, clips=clips, foretold=cfg.train.measure_only)
    _judge(record, gate, folder, alone=not brief)
    return record["metrics"].get(cfg.objective) if record["status"] == "completed" else None


def _train(
    cfg: DictConfig,
    folder: Path,
    record: dict[str, Any],
    following: Following,
    *,
    saved: Mapping[str, Any] | None,
    config: Mapping[str, Any],
    choices: Mapping[str, Any],
    brief: bool,
) -> None:
    """Build, train, and write everything but the figures; ``record`` becomes the content of run.json.

    Args:
        cfg: A checked config.
        folder: Where the files go.
        record: What is known so far.
        following: Loggers of the run, to be opened.
        saved: The checkpoint to go on from, or None.
        config: The config as plain dictionaries.
        choices: The option chosen of each group, for the remedies.
        brief: Whether to show no progress.

    Raises:
        KeyboardInterrupt: After what was recorded has been written.
    """
    for line in record["warnings"]:
        console.say(f"warning: {line}")
    cfg, found = lr_range.settle(cfg, folder, known=saved["lr_range"] if saved else None, brief=brief)
    record |= {"lr_range": found} if found else {}
    loop = assemble(cfg)
    thresholds = build.build(cfg.diagnosis, "diagnosis")
    environment = runs.environment(device=str(loop.device), threads=torch.get_num_threads())
    record["environment"] = environment
    history = History(folder, state=saved and saved["history"])
    inputs = peek(loop.batches)
    forecast = predict(loop.model, inputs)  # of the first step: a checkpoint's weights come later
    if cfg.train.measure_only and (rows := critical_rows(loop.model, inputs)):
        table = runs.Table(folder / "critical_line.csv", CRITICAL)
        table.write(rows)
        table.close()
    if saved:
        checkpoint.restore(loop, saved)
        _warn_of_elsewhere(saved["environment"], record)
        console.say(f"going on at step {loop.step}: {folder}")
    given = {"folder": folder, "config": OmegaConf.to_container(cfg, resolve=True), "start": loop.step}
    loggers = {name: build.build(node, f"logger.{name}", **given) for name, node in cfg.logger.items()}
    following.open(loggers, columns=cfg.follow.columns, layers=cfg.follow.layers)
    began = time.monotonic() - (saved["seconds"] if saved else 0.0)

    def save() -> None:
        state = {"history": history.state_dict(), "seconds": time.monotonic() - began, "lr_range": found}
        identity = {"fingerprint": record["fingerprint"], "config": config, "environment": environment}
        checkpoint.save(folder / "checkpoint.pt", loop, run=state | identity)

    try:
        with quiet(), interruptible(loop.interrupt), console.progress(0 if brief else loop.steps) as report:
            for metrics in loop.run():
                if metrics:
                    rows = loop.probe.take()
                    further = (loop.probe.take_shares(), loop.probe.take_timesteps(), loop.probe.take_neighbours())
                    history.add(metrics, rows, *further)
                    following.log(metrics, rows)
                    report(metrics)
                if loop.pauses:
                    save()
        if cfg.train.checkpoint:
            save()
    finally:
        history.close()
    record |= {"status": loop.status, "steps": loop.step, "seconds": time.monotonic() - began}
    record["hidden_layers"] = loop.probe.hidden_layers
    smallest = torch.finfo(getattr(torch, cfg.train.dtype)).tiny
    record["warnings"] = [*record["warnings"], *following.warnings]
    hidden, growth = record["hidden_layers"], loop.structure.events
    record |= {"growth": growth} if growth else {}
    first = growth[0]["depth_before"] if growth else None
    record |= find(history, thresholds, hidden=hidden, hidden_at_first=first, smallest=smallest)
    record["chance"] = loop.chance
    record["verdicts"] = judge(folder, record, thresholds, config=config, choices=choices)
    at_start = [row for row in history.first if row[0] == 0], [row for row in history.first_times if row[0] == 0]
    record["theory"] = compare_rows(forecast, *at_start, samples=len(inputs) * cfg.train.accumulate)
    record["metrics"]["skipped_steps"] = int(loop.precision.skipped)
    # Last, because it says that everything else is there.
    runs.write_json(folder / "run.json", record)
    if loop.status == "interrupted":
        console.say(f"interrupted after {loop.step} steps: {folder}")
        raise KeyboardInterrupt


def _search(cfg: DictConfig, folder: Path, record: dict[str, Any]) -> None:
    """Do a range test in place of training; ``record`` becomes the content of run.json."""
    for line in record["warnings"]:
        console.say(f"warning: {line}")
    started = time.monotonic()
    for left in ("gradients.csv", "metrics.csv"):  # by an earlier run in this folder
        (folder / left).unlink(missing_ok=True)
    found = lr_range.search(cfg, folder)
    environment = runs.environment(device=str(find_device(cfg.train.device)), threads=torch.get_num_threads())
    record |= {"environment": environment, "lr_range": found}
    record |= {"status": "completed", "steps": found["steps"], "seconds": time.monotonic() - started}
    record |= {"metrics": dict.fromkeys(("train_loss", "eval_loss", "eval_accuracy")), "verdicts": [], "theory": None}
    runs.write_json(folder / "run.json", record)


def _warn_of_elsewhere(there: Mapping[str, Any], record: dict[str, Any]) -> None:
    """Warn of going on under another torch or on another device than the checkpoint's: the config is the same."""
    here = record["environment"]
    lines = [line for name in ("python", "torch", "device") for line in runs.differences(there[name], here[name], name)]
    if lines:
        record["warnings"].append(f"begun with {'; '.join(lines)}: the last digits may be others")
        console.say(f"warning: {record['warnings'][-1]}")


def _judge(record: dict[str, Any], gate: Gate, folder: Path, *, alone: bool) -> None:
    """Write down what the gate says of a finished run; a sweep tells it of all its runs at its end.

    Raises:
        GateError: A run that is alone does not pass.
    """
    record["gate"] = gate.reasons(record)
    runs.write_json(folder / "run.json", record)
    if alone and gate.junit:
        write_junit(Path(gate.junit), {folder.name: record})
    if alone and record["gate"]:
        raise GateError(f"gate: {'; '.join(record['gate'])}")
