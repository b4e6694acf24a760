"""Learning curves of the configs of a sweep, with the spread of their seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradlab.artifacts.read import read_metrics
from gradlab.view import lanes, style
from gradlab.view.sweeps import Metric, Sweep

_MOST = 8  # curves that a reader can tell apart
_SERIES = {"eval_accuracy": "test accuracy", "eval_loss": "test loss", "train_loss": "training loss"}


@dataclass(frozen=True)
class Curves:
    """A measure of several configs against the step.

    Attributes:
        name: The column of ``metrics.csv``.
        lines: For each config its label, steps of shape (S,) and quartiles over its seeds of shape (3, S).
        left_out: How many configs have no line, because a reader could not tell more apart.
    """

    name: str
    lines: Sequence[tuple[str, NDArray[np.float64], NDArray[np.float64]]]
    left_out: int


def read_curves(sweep: Sweep, metric: Metric) -> Curves | None:
    """Return what `learning_curves` draws; None where no config has two steps on record.

    Of many configs the best four and the worst four are read, in the order of their rank.

    Args:
        sweep: The sweep.
        metric: What it is ranked by; read too, if it is recorded at more than one step, else the loss.
    """
    order = sweep.ranked(metric)
    half = _MOST // 2
    drawn = order if len(order) <= _MOST else [*order[:half], *order[-half:]]
    names = [metric.column, *_SERIES] if metric.column in _SERIES else list(_SERIES)
    for name in dict.fromkeys(names):
        curves = [(label, *_curve(sweep, rows, name)) for label, rows in drawn]
        curves = [curve for curve in curves if len(curve[1]) > 1]
        if curves:
            return Curves(name, curves, len(order) - len(drawn))
    return None


def _curve(sweep: Sweep, rows: NDArray[np.int64], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return steps, shape (S,), and quartiles over the seeds that got that far, shape (3, S)."""
    found: dict[float, list[float]] = {}
    for row in rows:
        try:
            metrics = read_metrics(sweep.folders[row], ("step", name))
        except (OSError, ValueError):
            continue
        there = ~np.ma.getmaskarray(metrics[name])
        for step, value in zip(metrics["step"].data[there].tolist(), metrics[name].data[there].tolist(), strict=True):
            found.setdefault(step, []).append(value)
    steps = np.array(sorted(found))
    # A seed that diverged is infinitely bad, not absent.
    clean = [np.nan_to_num(found[step], nan=np.inf, posinf=np.inf) for step in steps.tolist()]
    with np.errstate(invalid="ignore"):  # between inf and inf
        quartiles = np.array([np.quantile(values, (0.25, 0.5, 0.75)) for values in clean])
    return steps, np.nan_to_num(quartiles, nan=np.inf, posinf=np.inf).T.reshape(3, len(steps))


def learning_curves(sweep: Sweep, curves: Curves) -> style.Sheet:
    """Draw a measure against the step, one line for each config: median over its seeds, band between the quartiles.

    Args:
        sweep: The sweep.
        curves: What `read_curves` returned.
    """
    name = curves.name
    title = f"{_SERIES[name].capitalize()} while training"
    if curves.left_out:
        title += f": best {_MOST // 2} and worst {_MOST // 2} of {curves.left_out + len(curves.lines)} configs"
    sheet = style.sheet(title, caption=sweep.caption, height=4.0)
    axes = sheet.axes(0.95, 0.55, 4.55, 3.25, name=_SERIES[name])
    everything = np.ma.MaskedArray(np.concatenate([quartiles.ravel() for _, _, quartiles in curves.lines]))
    log = lanes.in_decades(everything)
    scale = lanes.fit(everything, log=log)
    for (label, steps, quartiles), color in zip(curves.lines, style.DISTINCT, strict=False):
        low, middle, high = np.ma.MaskedArray(quartiles)
        axes.fill_between(
            steps, lanes.positions(low, log=log), lanes.positions(high, log=log), color=color, alpha=0.18, linewidth=0
        )
        lanes.draw(axes, steps, middle, scale, color=color, label=label if len(label) <= 42 else f"{label[:41]}…")
    lanes.dress(axes, scale)
    style.keep_small(axes)
    style.step_axis(axes, sorted({int(step) for _, steps, _ in curves.lines for step in steps}))
    style.note_colours(axes, "best first" if len(curves.lines) > 1 else "")
    return sheet
