"""One run from start to end: build, train, record, diagnose, draw."""

import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import nan
from pathlib import Path
from typing import Any, cast

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gradlab import build, checkpoint, console, runs
from gradlab.assembly import assemble
from gradlab.findings import find
from gradlab.history import History
from gradlab.norms import quiet


def run(cfg: DictConfig) -> float:
    """Do one run and leave its files in Hydra's output folder.

    Args:
        cfg: The composed config.

    Returns:
        The final loss on the test set (on the training set where there was no evaluation), for an optimizing sweeper;
        nan for a run that failed in a sweep, where the other runs go on.

    Raises:
        GradlabError: The config asks for something that cannot be.
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
        return nan


def execute(
    cfg: DictConfig, folder: Path, *, overrides: Sequence[str] = (), choices: Mapping[str, Any], brief: bool = False
) -> float:
    """Do what `run` does, without Hydra around it; an error is written down and raised.

    Args:
        cfg: The composed config.
        folder: Where the files go.
        overrides: The command line, to warn of what has no effect.
        choices: The option chosen of each group, for captions.
        brief: Whether to say no more than one line, as one run of many should.
    """
    record: dict[str, Any] = {"status": "failed"}
    started = time.monotonic()
    try:
        build.check(cfg)
        config = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
        fingerprint = runs.fingerprint(config, runs.foreign_sources(config))
        before = runs.read_run(folder)
        if before is None or before["status"] != "completed" or before.get("fingerprint") != fingerprint:
            (folder / "error.log").unlink(missing_ok=True)
            record |= {"fingerprint": fingerprint, "seed": cfg.seed}
            _train(cfg, folder, record, warnings=build.unused_groups(cfg, overrides), brief=brief)
        else:
            record = before
            console.say(f"already complete: {folder}")
    except Exception as error:
        (folder / "error.log").write_text(traceback.format_exc(), encoding="utf-8")
        record |= {"status": "failed", "error": runs.describe(error), "seconds": time.monotonic() - started}
        runs.write_json(folder / "run.json", record)
        raise
    if cfg.figures and not (record is before and any(folder.glob("figures/*"))):
        from gradlab.view.figures import draw_run

        draw_run(folder, caption=console.caption(cfg, choices))
    if record is not before:
        console.summarize(folder, record, brief=brief, clips=choices.get("clipping", "none") != "none")
    return _objective(record)


def _train(cfg: DictConfig, folder: Path, record: dict[str, Any], *, warnings: list[str], brief: bool) -> None:
    """Build, train, and write everything but the figures; ``record`` becomes the content of run.json.

    Raises:
        KeyboardInterrupt: After what was recorded has been written.
    """
    for line in warnings:
        console.say(f"warning: {line}")
    loop = assemble(cfg)
    thresholds = build.build(cfg.diagnosis, "diagnosis")
    environment = runs.environment(device=str(loop.device), threads=torch.get_num_threads())
    record |= {"environment": environment, "warnings": warnings}
    started = time.monotonic()
    history = History(folder)
    try:
        with quiet(), interruptible(loop.interrupt), console.progress(0 if brief else loop.steps) as report:
            for metrics in loop.run():
                history.add(metrics, loop.probe.take(), loop.probe.take_shares(), loop.probe.take_timesteps())
                report(metrics)
    finally:
        history.close()
    record |= {"status": loop.status, "steps": loop.step, "seconds": time.monotonic() - started}
    record["hidden_layers"] = loop.probe.hidden_layers
    smallest = torch.finfo(getattr(torch, cfg.train.dtype)).tiny
    record |= find(history, thresholds, hidden=record["hidden_layers"], smallest=smallest)
    runs.write_json(folder / "run.json", record)
    if cfg.train.checkpoint:
        checkpoint.save(folder / "checkpoint.pt", loop, fingerprint=record["fingerprint"])
    if loop.status == "interrupted":
        console.say(f"interrupted after {loop.step} steps: {folder}")
        raise KeyboardInterrupt


@contextmanager
def interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C call ``interrupt``, so that a step is never left half done; a second one stops at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, previous)
        interrupt()

    previous = signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _objective(record: Mapping[str, Any]) -> float:
    metrics = record["metrics"]
    value = metrics["eval_loss"] if metrics["eval_loss"] is not None else metrics["train_loss"]
    return nan if value is None or record["status"] != "completed" else float(value)
