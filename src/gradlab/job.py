"""One run from start to end: build, train, record, diagnose, draw."""

import time
import traceback
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any, cast

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gradlab import build, checkpoint, console, runs
from gradlab.diagnosis.flow import Thresholds, diagnose_flow, measure_flow
from gradlab.errors import GradlabError
from gradlab.probe.columns import COLUMNS
from gradlab.probe.probe import Probe, Row
from gradlab.probe.shares import COLUMNS as SHARES
from gradlab.train import TASKS, Loop

FLUSH = 50  # recorded steps between two writes to disk
_ROLE, _GRAD, _OUTPUT_GRAD, _SKIP = (
    COLUMNS.index(name) for name in ("role", "preactivation_grad_norm", "activation_grad_norm", "skip_grad_norm")
)


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
    folder = Path(hydra.runtime.output_dir)
    one_of_many = hydra.mode == RunMode.MULTIRUN
    started = time.monotonic()
    try:
        overrides, choices = list(hydra.overrides.task), hydra.runtime.choices
        return execute(cfg, folder, overrides=overrides, choices=choices, brief=one_of_many)
    except Exception as error:
        line = str(error) if isinstance(error, GradlabError) else f"{type(error).__name__}: {error}"
        (folder / "error.log").write_text(traceback.format_exc(), encoding="utf-8")
        record = {"status": "failed", "error": line, "seconds": time.monotonic() - started}
        runs.write_json(folder / "run.json", record)
        if not one_of_many:
            raise
        console.say(f"failed: {line} ({folder.name})")
        return nan


def execute(
    cfg: DictConfig, folder: Path, *, overrides: Sequence[str] = (), choices: Mapping[str, Any], brief: bool = False
) -> float:
    """Do what `run` does, without Hydra around it and without catching errors.

    Args:
        cfg: The composed config.
        folder: Where the files go.
        overrides: The command line, to warn of what has no effect.
        choices: The option chosen of each group, for captions.
        brief: Whether to say no more than one line, as one run of many should.
    """
    build.check(cfg)
    config = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    fingerprint = runs.fingerprint(config, runs.foreign_sources(config))
    before = runs.read_run(folder)
    if before is not None and before["status"] == "completed" and before.get("fingerprint") == fingerprint:
        console.say(f"already complete: {folder}")
        return _objective(before["metrics"])
    warnings = build.unused_groups(cfg, overrides)
    for line in warnings:
        console.say(f"warning: {line}")

    loop = assemble(cfg)
    record: dict[str, Any] = {
        "status": "failed",
        "fingerprint": fingerprint,
        "seed": cfg.seed,
        "environment": runs.environment(device=str(loop.device), threads=torch.get_num_threads()),
        "warnings": warnings,
    }
    started = time.monotonic()
    history = History(folder)
    try:
        with console.progress(0 if brief else loop.steps) as report:
            for metrics in loop.run():
                history.add(metrics, loop.probe.take(), loop.probe.take_shares())
                report(metrics)
    except KeyboardInterrupt:
        loop.status = "interrupted"
        raise
    finally:
        history.close()
        if loop.status != "failed":
            record |= {"status": loop.status, "steps": loop.step, "seconds": time.monotonic() - started}
            record |= _findings(history, build.build(cfg.diagnosis, "diagnosis"), hidden=_hidden_depth(loop))
            runs.write_json(folder / "run.json", record)
            if cfg.train.checkpoint:
                checkpoint.save(folder / "checkpoint.pt", loop, fingerprint=fingerprint)
    if cfg.figures:
        from gradlab.view.figures import draw_run

        draw_run(folder, caption=console.caption(cfg, choices))
    console.summarize(folder, record, brief=brief)
    return _objective(record["metrics"])


def assemble(cfg: DictConfig) -> Loop:
    """Build everything that a config describes, seeded and on its device.

    Args:
        cfg: A checked config.

    Raises:
        GradlabError: A part refuses its arguments, or the device is not there.
    """
    device = _device(cfg.train.device)
    torch.set_num_threads(cfg.train.threads)
    torch.manual_seed(cfg.seed)
    dtype = getattr(torch, cfg.train.dtype)
    data = build.build(cfg.data, "data").to(device, dtype)
    # Built on the CPU in float32 whatever the device and dtype, so that a seed means the same weights everywhere.
    model = build.build(cfg.model, "model", input_shape=data.input_shape, outputs=data.outputs).to(device, dtype)
    batches = data.batches(batch_size=cfg.train.batch_size, seed=cfg.seed)
    _finish(model, batches, seed=cfg.seed)
    optimizer = build.build(cfg.optimizer, "optimizer")
    with build.blame("optimizer", keys=cfg.optimizer):
        optimizer = optimizer(model.parameters())
    lr_scheduler = build.build(cfg.lr_scheduler, "lr_scheduler")
    with build.blame("lr_scheduler", keys=cfg.lr_scheduler):
        lr_scheduler = lr_scheduler(optimizer)
    with build.blame("probe", keys=cfg.probe):
        probe = Probe(model, last=cfg.train.steps - 1, **cfg.probe)
    return Loop(
        model=model,
        batches=batches,
        test=data.test_batches(),
        task=TASKS[data.task],
        optimizer=optimizer,
        lr_scheduler=lr_scheduler,
        clip=build.build(cfg.clipping, "clipping"),
        probe=probe,
        steps=cfg.train.steps,
        update=not cfg.train.measure_only,
        eval_every=cfg.train.eval_every,
    )


class History:
    """Writes a run's tables as it goes, and remembers its first and last recorded step.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._auxiliary: runs.Table | None = None
        self._gradients = runs.Table(folder / "gradients.csv", COLUMNS)
        self._metrics = runs.Table(folder / "metrics.csv", runs.METRICS)
        self._waiting: tuple[list[Row], list[list[Any]]] = ([], [])
        self.first: list[Row] = []
        self.last: list[Row] = []
        self.metrics: dict[str, Any] = {}

    def add(self, metrics: Mapping[str, Any], rows: list[Row], shares: list[Row]) -> None:
        """Add one step's metrics and, if it was recorded, the rows of its layers and of its auxiliary heads."""
        if shares:
            self._auxiliary = self._auxiliary or runs.Table(self._folder / "auxiliary.csv", SHARES)
            self._auxiliary.write(shares)
        self.metrics |= metrics
        if rows:
            self.first, self.last = self.first or rows, rows
        gradients, steps = self._waiting
        gradients.extend(rows)
        steps.append([metrics.get(name) for name in runs.METRICS])
        if len(steps) >= FLUSH:
            self._flush()

    def close(self) -> None:
        """Write what is waiting and close the files."""
        self._flush()
        self._gradients.close()
        self._metrics.close()
        if self._auxiliary is not None:
            self._auxiliary.close()

    def _flush(self) -> None:
        gradients, steps = self._waiting
        self._gradients.write(gradients)
        self._metrics.write(steps)
        self._waiting = ([], [])


def _findings(history: History, thresholds: Thresholds, *, hidden: int) -> dict[str, Any]:
    """Return ``metrics`` and ``verdicts`` of run.json."""
    measured: dict[str, Any] = {
        name: history.metrics.get(name) for name in ("train_loss", "eval_loss", "eval_accuracy")
    }
    verdicts = []
    for when, rows in (("initial", history.first), ("final", history.last)):
        main = [row for row in rows if row[_ROLE] == "main" and row[1] <= hidden and row[_GRAD] is not None]
        depths, norms = [row[1] for row in main], [row[_GRAD] for row in main]
        flow = measure_flow(depths, norms)
        measured |= {
            f"gradient_ratio_{when}": flow.ratio,
            f"decades_per_layer_{when}": flow.decades_per_layer,
            f"decades_per_layer_{when}_low": flow.low,
            f"decades_per_layer_{when}_high": flow.high,
        }
        if main:
            # A branch that starts at zero passes no gradient, but the skip beside it does: there dL/dh tells.
            skips = any(row[_SKIP] is not None for row in main)
            received = [row[_OUTPUT_GRAD] for row in main] if skips else norms
            verdict = diagnose_flow(depths, received, thresholds)
            verdicts.append({"when": when, "step": main[0][0], "name": verdict.name, "sentence": verdict.sentence})
    return {"metrics": measured, "verdicts": verdicts, "theory": None}


def _hidden_depth(loop: Loop) -> int:
    """Return the depth_index of the last hidden layer: the head comes after it."""
    return max(point.depth_index for point in loop.model.points()) - 1  # pyright: ignore[reportCallIssue]


def _finish(model: torch.nn.Module, batches: Any, *, seed: int) -> None:
    """Let data-dependent initializers see the first batch, under random numbers of their own."""
    state = batches.state_dict()
    inputs, _ = next(batches)
    batches.load_state_dict(state)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model.finish(inputs)  # pyright: ignore[reportCallIssue]


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise GradlabError("train.device=cuda: torch finds no CUDA device here; train.device=cpu or auto would run")
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def _objective(metrics: Mapping[str, Any]) -> float:
    value = metrics["eval_loss"] if metrics["eval_loss"] is not None else metrics["train_loss"]
    return nan if value is None else float(value)
