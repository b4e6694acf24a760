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
from torch.nn.modules.batchnorm import _BatchNorm

from gradlab import build, checkpoint, console, runs
from gradlab.diagnosis.flow import Thresholds, diagnose_flow, measure_flow
from gradlab.errors import GradlabError
from gradlab.norms import quiet
from gradlab.optim.parameters import parameter_groups
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
    record |= {"environment": environment, "warnings": warnings, "hidden_layers": _hidden_depth(loop)}
    started = time.monotonic()
    history = History(folder)
    try:
        with quiet(), interruptible(loop.interrupt), console.progress(0 if brief else loop.steps) as report:
            for metrics in loop.run():
                history.add(metrics, loop.probe.take(), loop.probe.take_shares())
                report(metrics)
    finally:
        history.close()
    record |= {"status": loop.status, "steps": loop.step, "seconds": time.monotonic() - started}
    smallest = torch.finfo(getattr(torch, cfg.train.dtype)).tiny
    record |= _findings(history, thresholds, hidden=record["hidden_layers"], smallest=smallest)
    runs.write_json(folder / "run.json", record)
    if cfg.train.checkpoint:
        checkpoint.save(folder / "checkpoint.pt", loop, fingerprint=record["fingerprint"])
    if loop.status == "interrupted":
        console.say(f"interrupted after {loop.step} steps: {folder}")
        raise KeyboardInterrupt


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
        optimizer = optimizer(parameter_groups(model, decay_biases=cfg.train.decay_biases))
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
    """Writes a run's tables as it goes, and remembers its first and last recorded step and how often it clipped.

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
        self.recorded_steps = self.clipped_steps = 0

    def add(self, metrics: Mapping[str, Any], rows: list[Row], shares: list[Row]) -> None:
        """Add one step's metrics and, if it was recorded, the rows of its layers and of its auxiliary heads."""
        if shares:
            self._auxiliary = self._auxiliary or runs.Table(self._folder / "auxiliary.csv", SHARES)
            self._auxiliary.write(shares)
        self.metrics |= metrics
        self.recorded_steps += 1
        self.clipped_steps += metrics["clipped_grad_norm"] < metrics["grad_norm"]
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


def _findings(history: History, thresholds: Thresholds, *, hidden: int, smallest: float) -> dict[str, Any]:
    """Return ``metrics`` and ``verdicts`` of run.json; what was not measured is None."""
    measured: dict[str, Any] = {
        name: history.metrics.get(name) for name in ("train_loss", "eval_loss", "eval_accuracy")
    }
    measured |= {"recorded_steps": history.recorded_steps, "clipped_steps": history.clipped_steps}
    verdicts = []
    for when, rows in (("initial", history.first), ("final", history.last)):
        main = [row for row in rows if row[_ROLE] == "main" and row[1] <= hidden and row[_GRAD] is not None]
        depths, norms = [row[1] for row in main], [row[_GRAD] for row in main]
        flow = measure_flow(depths, norms) if len(main) > 1 else None
        whole = flow is not None and (depths[0], depths[-1]) == (1, hidden)
        measured |= {
            f"gradient_ratio_{when}": flow.ratio if flow and whole else None,
            f"decades_per_layer_{when}": flow and flow.decades_per_layer,
            f"decades_per_layer_{when}_low": flow and flow.low,
            f"decades_per_layer_{when}_high": flow and flow.high,
        }
        if rows:
            # A branch that starts at zero passes no gradient, but the skip beside it does: there dL/dh tells.
            skips = any(row[_SKIP] is not None for row in main)
            received = [row[_OUTPUT_GRAD] for row in main] if skips else norms
            verdict = diagnose_flow(depths, received, thresholds, smallest=smallest)
            verdicts.append({"when": when, "step": rows[0][0], "name": verdict.name, "sentence": verdict.sentence})
    return {"metrics": measured, "verdicts": verdicts, "theory": None}


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


def _hidden_depth(loop: Loop) -> int:
    """Return the depth_index of the last hidden layer: the head comes after it."""
    return max(point.depth_index for point in loop.model.points()) - 1  # pyright: ignore[reportCallIssue]


def _finish(model: torch.nn.Module, batches: Any, *, seed: int) -> None:
    """Let data-dependent initializers see the first batch, under random numbers of their own."""
    state = batches.state_dict()
    inputs, _ = next(batches)
    if len(inputs) == 1 and any(isinstance(module, _BatchNorm) for module in model.modules()):
        raise GradlabError("train.batch_size=1: batch_norm needs at least 2 samples to normalize over")
    batches.load_state_dict(state)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model.finish(inputs)  # pyright: ignore[reportCallIssue]


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise GradlabError("train.device=cuda: torch finds no CUDA device here; train.device=cpu or auto would run")
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def _objective(record: Mapping[str, Any]) -> float:
    metrics = record["metrics"]
    value = metrics["eval_loss"] if metrics["eval_loss"] is not None else metrics["train_loss"]
    return nan if value is None or record["status"] != "completed" else float(value)
