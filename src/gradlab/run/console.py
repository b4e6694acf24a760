"""Console output of a run: a progress bar or plain lines, and a summary at the end."""

import logging
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gradlab.artifacts.record import RangeRecord, RunRecord
from gradlab.borders import discard, print_line, visible
from gradlab.config.build import uses
from gradlab.diagnosis.flow import FLOW
from gradlab.diagnosis.verdict import VerdictRecord, root_cause
from gradlab.theory.sentences import in_words
from gradlab.view.layer_table import layer_table

_LINES = 10  # number of progress lines in a whole run, without a terminal
_NARROWEST = 80  # columns that the table of layers needs; a narrower terminal breaks its lines
_CAPTIONED = (
    "activation", "initializer", "recurrent_initializer", "normalization", "residual",
    "data", "clipping", "lr_scheduler", "optimizer",
)  # fmt: skip
_UNREMARKABLE = (None, "none", "constant")
_log = logging.getLogger("gradlab")


class _Console(Console):
    """A console on which texts are data, without markup or control characters, and whose reader may leave."""

    def on_broken_pipe(self) -> None:
        discard(sys.stdout)


def say(line: str) -> None:
    """Log one plain line, with control characters as escapes."""
    _log.info("%s", visible(line))


@contextmanager
def progress(steps: int) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yield a function that reports the metrics of a recorded step: a bar on a terminal, a few log lines elsewhere.

    Args:
        steps: Number of steps of the run; 0 to report nothing.
    """
    if not steps:
        yield lambda metrics: None
        return
    if not sys.stdout.isatty():
        yield _line_reporter(steps)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=steps)
        yield lambda metrics: bar.update(task, completed=metrics["step"] + 1, description=_describe(metrics))


def caption(cfg: DictConfig, choices: Mapping[str, Any]) -> str:
    """Return the config in one line: the option of each group, and the most important numbers."""
    sizes = [f"{key} {cfg.model[key]}" for key in ("depth", "width", "block_depth") if cfg.model.get(key, 1) != 1]
    remarkable = [group for group in _CAPTIONED if choices.get(group) not in _UNREMARKABLE and uses(cfg, group)]
    parts = [f"{group} {choices[group]}" for group in remarkable]
    lr = [f"lr {cfg.optimizer.lr}"] if "lr" in cfg.optimizer and not cfg.train.lr_range else []
    numbers = [f"batch {cfg.train.batch_size}", f"seed {cfg.seed}"]
    return ", ".join([f"model {choices.get('model')}", *sizes, *parts, *lr, *numbers])


def summarize(
    folder: Path, record: RunRecord, *, brief: bool = False, clips: bool = False, theory: bool = False
) -> None:
    """Print a table of layers, the verdicts, how often the gradient was clipped, the final metrics and the folder.

    Args:
        folder: The run's folder.
        record: Content of its run.json.
        brief: Whether to print one line instead, with the last verdict and the folder's name.
        clips: Whether a clipping was chosen, so that the number of clipped steps is printed even if it is 0.
        theory: Whether to print the theory's prediction.
    """
    metrics, verdicts = record.get("metrics", {}), record.get("verdicts", [])
    cause = root_cause(verdicts)
    results = ", ".join(f"{name} {value:.4g}" for name, value in _shown(metrics))
    end = f"{record['status']} in {record.get('seconds', 0.0):.1f} s" + (f": {results}" if results else "")
    if brief:
        shown = [cause] if cause else verdicts[-1:]
        say("; ".join([end, *(verdict["sentence"] for verdict in shown), folder.name]))
        return
    console = _Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    console.width = max(console.width, _NARROWEST)
    if verdicts:  # none if nothing was recorded
        console.print(layer_table(folder))
    for verdict in _flow_verdicts(verdicts):
        console.print(visible(f"step {verdict['step']}: {verdict['sentence']}"))
    for line in in_words(record.get("theory")) if theory else ():
        console.print(visible(line))
    if record["status"] == "diverged":
        console.print(f"diverged: a loss was not finite at step {record.get('steps', 0) - 1}")
    clipped, recorded = metrics["clipped_steps"], metrics["recorded_steps"]
    if clips or clipped:
        console.print(f"the gradient was clipped at {clipped} of {recorded} recorded steps")
    if skipped := metrics.get("skipped_steps"):
        console.print(f"{skipped} steps were skipped: their float16 gradients overflowed")
    console.print(visible(end))
    for line in _explain(cause):
        console.print(visible(line))
    console.print(visible(str(folder)))


def how_to_resume(folder: Path, step: int, *, saved: bool, brief: bool) -> str:
    """Return what an interrupted run prints: where it stopped, and the command that resumes it.

    Args:
        folder: The run's folder.
        step: Number of steps done.
        saved: Whether it has written a checkpoint.
        brief: Whether the run is part of a sweep.
    """
    line = f"interrupted after {step} steps: {folder}"
    if brief:
        return f"{line}; the same command with hydra.sweep.dir={shlex.quote(str(folder.parent))} resumes the sweep"
    if not saved:
        return f"{line}; without a checkpoint (train.checkpoint=false) it cannot be resumed"
    resume, quoted = (shlex.quote(text) for text in (f"train.resume={folder}", str(folder)))
    return f"{line}; gradlab {resume} resumes it, gradlab-report {quoted} draws it as it is"


def announce_rate(folder: Path, result: RangeRecord, *, brief: bool = False) -> None:
    """Print the result of a range test, the override to paste, and the folder.

    Args:
        folder: The run's folder.
        result: Result of the range test.
        brief: Whether to print one line.
    """
    override = [] if result["suggestion"] is None else [f"optimizer.lr={result['suggestion']}"]
    lines = [range_test_in_words(result), *override, folder.name if brief else str(folder)]
    if brief:
        say("; ".join(lines))
    else:
        for line in lines:
            print_line(line)


def range_test_in_words(result: RangeRecord) -> str:
    """Return the result of a range test in one line."""
    if result["suggestion"] is None:
        return "the range test found no learning rate at which the loss falls"
    lowest = f"the loss is lowest at a learning rate of {result['lowest_at']:.2g}"
    if result["blew_up_at"] is None:
        return f"{lowest} and had not blown up at the highest tried (lr_range.highest)"
    return f"{lowest} and blows up by {result['blew_up_at']:.2g}"


def _flow_verdicts(verdicts: Sequence[VerdictRecord]) -> list[VerdictRecord]:
    """Return the distinct verdicts on the gradient flow; ``shallow`` is left out if there is another."""
    flow = [verdict for verdict in verdicts if verdict["name"] in FLOW]
    distinct = {verdict["sentence"]: verdict for verdict in reversed(flow)}
    comparing = [verdict for verdict in reversed(distinct.values()) if verdict["name"] != "shallow"]
    return comparing or list(distinct.values())[-1:]


def _explain(cause: VerdictRecord | None) -> Iterator[str]:
    """Yield the root cause and its first remedy, one line each; nothing without a root cause."""
    if cause:
        yield f"root cause: {cause['sentence']}"
        for remedy in cause["remedies"][:1]:
            yield f"remedy: {' '.join(remedy['overrides'])}: {remedy['reason']}"


def _shown(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name in ("train_loss", "eval_loss", "eval_accuracy"):
        if metrics[name] is not None:
            yield name.replace("_", " "), metrics[name]
    for name, words in (("eval_rmse", "eval RMSE"), ("eval_r2", "R2")):
        if metrics.get(name) is not None:
            yield words, metrics[name]


def _describe(metrics: Mapping[str, Any]) -> str:
    evaluated = metrics.get("eval_accuracy")
    return f"loss {metrics['train_loss']:.4g}" + ("" if evaluated is None else f", eval accuracy {evaluated:.3f}")


def _line_reporter(steps: int) -> Callable[[Mapping[str, Any]], None]:
    due = 0

    def report(metrics: Mapping[str, Any]) -> None:
        nonlocal due
        if metrics["step"] >= due:
            say(f"step {metrics['step']} of {steps}: {_describe(metrics)}")
            due += max(1, steps // _LINES)

    return report
