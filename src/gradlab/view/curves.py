"""Learning curves of the configs of a sweep, with the spread of their seeds."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradlab.artifacts.read import read_metrics
from gradlab.view import lanes, style
from gradlab.view.format import condition
from gradlab.view.sweeps import Metric, Sweep

_MOST = 8  # curves that a reader can follow
_ACCURACY = "eval_accuracy"
_SERIES = {_ACCURACY: "test accuracy", "eval_loss": "test loss", "train_loss": "training loss"}


class Curve(NamedTuple):
    """A measure of one config against the step.

    Attributes:
        name: The config in words.
        row: The run that stands for it.
        steps: Shape (S,).
        quartiles: Over its seeds, shape (3, S).
    """

    name: str
    row: int
    steps: NDArray[np.float64]
    quartiles: NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """A measure of several configs against the step.

    Attributes:
        name: The column of ``metrics.csv``.
        lines: A line for each config, the best first.
        left_out: How many configs have no line, because a reader could not follow more.
    """

    name: str
    lines: Sequence[Curve]
    left_out: int


class _Seed(NamedTuple):
    """A measure of one run.

    Attributes:
        values: Step to value.
        diverged: Whether the run diverged.
        whole: Whether its value at all steps is known, because it completed or diverged.
        last: Its last recorded step.
        end: The value after the last step of a run that diverged.
    """

    values: Mapping[float, float]
    diverged: bool
    whole: bool
    last: float
    end: float

    def at(self, step: float) -> float:
        """Return the value at a step; the value at the end for steps after the run diverged."""
        return self.values.get(step, self.end)


def read_curves(sweep: Sweep, metric: Metric) -> Curves | None:
    """Return what `learning_curves` draws; None where no config has two steps on record.

    Of many configs the best four and the worst four are read, in the order of their rank.

    Args:
        sweep: The sweep.
        metric: What it is ranked by; read too, if it is recorded at more than one step, else the loss.
    """
    drawn = _drawn(sweep, metric)
    names = [metric.column, *_SERIES] if metric.column in _SERIES else list(_SERIES)
    for name in dict.fromkeys(names):
        curves = [
            Curve(_name(sweep, *one), sweep.typical(one[1], metric), *_curve(sweep, one[1], name)) for one in drawn
        ]
        curves = [curve for curve in curves if len(curve.steps) > 1]
        if curves:
            return Curves(name, curves, len(sweep.configs()) - len(drawn))
    return None


def colors(sweep: Sweep, metric: Metric) -> dict[int, str]:
    """Return the colour of each run whose config has one: the colour that its line has in `learning_curves`.

    Args:
        sweep: The sweep.
        metric: What it is ranked by.
    """
    pairs = zip(_drawn(sweep, metric), style.DISTINCT, strict=False)
    return {int(row): color for (_, rows), color in pairs for row in rows}


def _drawn(sweep: Sweep, metric: Metric) -> list[tuple[str, NDArray[np.int64]]]:
    """Return the configs that have a line: the best and the worst of many."""
    order, half = sweep.ranked(metric), _MOST // 2
    return order if len(order) <= _MOST else [*order[:half], *order[-half:]]


def _name(sweep: Sweep, label: str, rows: NDArray[np.int64]) -> str:
    """Return a config's label, with the number of its seeds that did not complete."""
    counts = Counter(sweep.table["status"].iloc[rows])
    bad = [f"{count} of {len(rows)} {status}" for status, count in counts.items() if status != "completed"]
    return f"{label} ({', '.join(bad)})" if bad else label


def _curve(sweep: Sweep, rows: NDArray[np.int64], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return steps, shape (S,), and quartiles over the seeds, shape (3, S), at the steps where all have a value.

    A seed that diverged keeps its value at the end for all later steps: a loss is infinite, an accuracy is that of the
    diverged net. So a line neither falls where one seed alone was evaluated nor rises where the worst seed ended. Seeds
    that were interrupted or failed are left out where others completed or diverged: their value at the end is unknown.
    """
    seeds = [seed for row in rows if (seed := _seed(sweep, int(row), name)) is not None]
    seeds = [seed for seed in seeds if seed.whole] or seeds
    if not seeds:
        return np.empty(0), np.empty((3, 0))
    steps = [step for step in sorted({step for seed in seeds for step in seed.values}) if all(map(_has(step), seeds))]
    values = np.array([[seed.at(step) for seed in seeds] for step in steps]).reshape(len(steps), len(seeds))
    with np.errstate(invalid="ignore"):  # between inf and inf
        quartiles = np.quantile(np.nan_to_num(values, nan=np.inf, posinf=np.inf), (0.25, 0.5, 0.75), axis=1)
    return np.array(steps), np.nan_to_num(quartiles, nan=np.inf, posinf=np.inf)


def _has(step: float) -> Callable[[_Seed], bool]:
    return lambda seed: step in seed.values or (seed.diverged and step > seed.last)


def _seed(sweep: Sweep, row: int, name: str) -> _Seed | None:
    """Return one run's values of a column; None if its table cannot be read or holds no value."""
    try:
        metrics = read_metrics(sweep.folders[row], ("step", name))
    except (OSError, ValueError):
        return None
    there = ~np.ma.getmaskarray(metrics[name])
    values = dict(zip(metrics["step"].data[there].tolist(), metrics[name].data[there].tolist(), strict=True))
    status = sweep.table["status"].iloc[row]
    if not values:
        return None
    end = values[max(values)] if name == _ACCURACY else np.inf
    return _Seed(
        values, status == "diverged", status in ("completed", "diverged"), float(metrics["step"].data[-1]), end
    )


def headline(curves: Curves) -> str:
    """Say how the best config and the worst end."""
    what = _SERIES[curves.name]
    ends = [condition(line.quartiles[1, -1], digits=3) for line in curves.lines]
    if len(curves.lines) == 1:
        start = condition(curves.lines[0].quartiles[1, 0], digits=3)
        return f"{what.capitalize()} goes from {start} to {ends[0]} (median of all runs)"
    best, worst = curves.lines[0].name, curves.lines[-1].name
    many = f"{len(curves.lines)} of {curves.left_out + len(curves.lines)} configs"
    which = f" ({many}: the best and the worst)" if curves.left_out else ""
    return f"{what.capitalize()} ends at {ends[0]} with {best}, at {ends[-1]} with {worst}{which}"


def learning_curves(sweep: Sweep, curves: Curves) -> style.Sheet:
    """Draw a measure against the step, one line for each config: median over its seeds, band between the quartiles.

    Args:
        sweep: The sweep.
        curves: What `read_curves` returned.
    """
    name = curves.name
    sheet = style.sheet(headline(curves), caption=sweep.caption, height=4.0)
    axes = sheet.axes(0.95, 0.55, 4.9, 3.25, name=_SERIES[name])
    everything = np.ma.MaskedArray(np.concatenate([line.quartiles.ravel() for line in curves.lines]))
    log = lanes.in_decades(everything)
    scale = lanes.fit(everything, log=log)
    for line, color in zip(curves.lines, style.DISTINCT, strict=False):
        low, middle, high = np.ma.MaskedArray(line.quartiles)
        axes.fill_between(
            line.steps, lanes.positions(low, log=log), lanes.positions(high, log=log), color=color, alpha=0.18,
            linewidth=0,
        )  # fmt: skip
        lanes.draw(
            axes,
            line.steps,
            middle,
            scale,
            color=color,
            label=line.name if len(line.name) <= 40 else f"{line.name[:39]}…",
        )
        heights = lanes.positions(middle, log=log).tolist()
        for step, height, value in zip(line.steps.tolist(), heights, middle.tolist(), strict=True):
            text = f"{line.name}, step {step:.0f}: {_SERIES[name]} {condition(value, digits=3)}"
            sheet.marks.append(style.Mark(axes, step, height, line.row, text))
    lanes.dress(axes, scale)
    style.keep_small(axes)
    style.step_axis(axes, sorted({int(step) for line in curves.lines for step in line.steps}))
    style.note_colours(axes, "best first" if len(curves.lines) > 1 else "")
    return sheet
