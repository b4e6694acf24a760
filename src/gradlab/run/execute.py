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

from gradlab.artifacts.environment import describe_environment
from gradlab.artifacts.fingerprint import compute_fingerprint, decisive_part, differences, foreign_sources
from gradlab.artifacts.junit import check_place, write_junit
from gradlab.artifacts.record import clear_run, describe_error, write_json
from gradlab.config import build
from gradlab.diagnosis.gate import Gate
from gradlab.errors import GateError
from gradlab.loggers.fan_out import Following
from gradlab.norms import quiet
from gradlab.run import checkpoint, console, lr_range
from gradlab.run.assemble import assemble, find_device
from gradlab.run.session import Start, open_session
from gradlab.train.interrupts import interruptible


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
        console.say(f"failed: {describe_error(error)} ({Path(hydra.runtime.output_dir).name})")
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
    with written_down(cfg, folder, record, brief=brief):
        start = prepare(cfg, folder, record, overrides=overrides, choices=choices, only_own=resume)
        if start.finished:
            console.say(f"already complete: {folder}")
        else:
            clear_run(folder, stale=start.saved is None)
            if cfg.train.lr_range:
                _search(cfg, folder, record)
            else:
                _train(cfg, folder, record, following, start=start, brief=brief)
    # A sweep draws its runs together, at its end: one by one, that would take longer than small runs themselves.
    if cfg.figures and not brief and not (record.get("figures") and any(folder.glob("figures/*"))):
        from gradlab.run.draw import rebuild_run

        rebuild_run(folder, caption=console.caption(cfg, choices))
        record["figures"] = True  # said only now: a run that was killed while it drew has to draw again
    if cfg.train.lr_range:
        console.announce_rate(folder, record["lr_range"], brief=brief)
    elif not start.finished:
        clips = choices.get("clipping", "none") != "none"
        console.summarize(folder, record, brief=brief, clips=clips, foretold=cfg.train.measure_only)
    return pass_gate(cfg, record, start.gate, folder, alone=not brief)


def prepare(
    cfg: DictConfig,
    folder: Path,
    record: dict[str, Any],
    *,
    overrides: Sequence[str],
    choices: Mapping[str, Any],
    only_own: bool = False,
) -> Start:
    """Check a config and look for its run in the folder; nothing is written.

    Args:
        cfg: The composed config.
        folder: Where the files go.
        record: Becomes the run.json of a run that is done, or the beginning of one.
        overrides: The command line, to warn of what has no effect.
        choices: The option chosen of each group, for the remedies.
        only_own: Whether it is an error that the folder holds a run of another config.
    """
    build.check(cfg)
    gate = build.build(cfg.gate, "gate")
    check_place(gate.junit)
    config = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    fingerprint = compute_fingerprint(config, foreign_sources(decisive_part(config)))
    before, saved = checkpoint.find(folder, config=config, fingerprint=fingerprint, only_own=only_own)
    if before is None:
        record |= {"fingerprint": fingerprint, "seed": cfg.seed, "warnings": build.unused_groups(cfg, overrides)}
    else:
        record.clear()
        record |= before
    return Start(config=config, choices=choices, gate=gate, finished=before is not None, saved=saved)


@contextmanager
def written_down(cfg: DictConfig, folder: Path, record: dict[str, Any], *, brief: bool) -> Iterator[None]:
    """Write an error down in the run's folder, and raise it.

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
        write_json(folder / "run.json", record)
        if cfg.gate.junit and not brief:
            with suppress(OSError):  # the error at hand is the one to tell
                write_junit(Path(cfg.gate.junit), {folder.name: record})
        raise


def _train(
    cfg: DictConfig,
    folder: Path,
    record: dict[str, Any],
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
        start: The same config in other forms, and the checkpoint to go on from.
        brief: Whether to show no progress.

    Raises:
        KeyboardInterrupt: After what was recorded has been written.
    """
    for line in record["warnings"]:
        console.say(f"warning: {line}")
    saved = start.saved
    cfg, found = lr_range.settle(cfg, folder, known=saved["lr_range"] if saved else None, brief=brief)
    record |= {"lr_range": found} if found else {}
    loop = assemble(cfg)
    environment = describe_environment(device=str(loop.device), threads=torch.get_num_threads())
    session = open_session(cfg, folder, record, loop, start=start, environment=environment, lr_range=found)
    if saved:
        _warn_of_elsewhere(saved["environment"], record)
        console.say(f"going on at step {loop.step}: {folder}")
    given = {"folder": folder, "config": OmegaConf.to_container(cfg, resolve=True), "start": loop.step}
    loggers = {name: build.build(node, f"logger.{name}", **given) for name, node in cfg.logger.items()}
    following.open(loggers, columns=cfg.follow.columns, layers=cfg.follow.layers)
    try:
        with quiet(), interruptible(loop.interrupt), console.progress(0 if brief else loop.steps) as report:
            for metrics in loop.run():
                if metrics:
                    recording = loop.probe.take()
                    session.history.add(metrics, recording)
                    following.log(metrics, recording.layers)
                    report(metrics)
                if loop.pauses:
                    session.save()
        if cfg.train.checkpoint:
            session.save()
    finally:
        session.history.close()
    session.end(warnings=following.warnings)
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
    environment = describe_environment(device=str(find_device(cfg.train.device)), threads=torch.get_num_threads())
    record |= {"environment": environment, "lr_range": found}
    record |= {"status": "completed", "steps": found["steps"], "seconds": time.monotonic() - started}
    record |= {"metrics": dict.fromkeys(("train_loss", "eval_loss", "eval_accuracy")), "verdicts": [], "theory": None}
    write_json(folder / "run.json", record)


def _warn_of_elsewhere(there: Mapping[str, Any], record: dict[str, Any]) -> None:
    """Warn of going on under another torch or on another device than the checkpoint's: the config is the same."""
    here = record["environment"]
    lines = [line for name in ("python", "torch", "device") for line in differences(there[name], here[name], name)]
    if lines:
        record["warnings"].append(f"begun with {'; '.join(lines)}: the last digits may be others")
        console.say(f"warning: {record['warnings'][-1]}")


def pass_gate(cfg: DictConfig, record: dict[str, Any], gate: Gate, folder: Path, *, alone: bool) -> float | None:
    """Write down what the gate says of a finished run; a sweep tells it of all its runs at its end.

    Returns:
        The metric named by ``objective``, of a completed run.

    Raises:
        GateError: A run that is alone does not pass.
    """
    record["gate"] = gate.reasons(record)
    write_json(folder / "run.json", record)
    if alone and gate.junit:
        write_junit(Path(gate.junit), {folder.name: record})
    if alone and record["gate"]:
        raise GateError(f"gate: {'; '.join(record['gate'])}")
    return record["metrics"].get(cfg.objective) if record["status"] == "completed" else None
