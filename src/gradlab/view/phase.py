"""Where gradients vanish and explode, over the variances of weights and biases, and theory's line in between."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm, to_rgb
from numpy.typing import NDArray

from gradlab.artifacts.read import numbers, read_columns
from gradlab.artifacts.record import read_run
from gradlab.view import style
from gradlab.view.format import short
from gradlab.view.sweeps import Sweep

LINE = "critical_line.csv"
_WEIGHT, _BIAS = "initializer.weight_variance", "initializer.bias_variance"
# Towards the colours of the verdicts: blue where gradients vanish, vermillion where they explode.
_COLORS = LinearSegmentedColormap.from_list("phases", [style.BLUE, "#FFFFFF", style.VERMILLION])
_WITH_TEXT = 80  # points at most that have their number beside them


@dataclass(frozen=True)
class Point:
    """One run: its variances, what it measured, and what theory says; None where there is none."""

    weight: float
    bias: float
    measured: float | None
    predicted: float | None


def can_draw(sweep: Sweep) -> bool:
    """Whether both variances were swept, and nothing else but the seed, and theory has a line for it."""
    return {*sweep.swept} == {_WEIGHT, _BIAS} and any((folder / LINE).exists() for folder in sweep.folders)


def phase_diagram(sweep: Sweep) -> style.Sheet:
    """Draw the measured factor on the squared gradient norm of each run, and the line on which theory puts it at 1.

    Args:
        sweep: A sweep for which `can_draw` holds.
    """
    points = [_read(folder, row) for folder, row in zip(sweep.folders, _variances(sweep), strict=True)]
    weights, biases = _line(next(folder / LINE for folder in sweep.folders if (folder / LINE).exists()))
    sheet = style.sheet(headline(points), caption=sweep.caption, height=4.6)
    axes = sheet.axes(0.95, 0.6, 6.1, 3.85, name="variance of the biases")
    found = {(point.weight, point.bias): point.measured for point in points if point.measured is not None}
    rows = {(point.weight, point.bias): row for row, point in enumerate(points)}
    spread = max([0.02, *(abs(np.log10(value)) for value in found.values() if 0 < value < np.inf)])
    norm = TwoSlopeNorm(0.0, -spread, spread)
    for (x, y), value in found.items():
        color = _COLORS(norm(np.clip(np.log10(value), -spread, spread))) if value > 0 else "white"
        axes.plot(x, y, "o", color=color, markersize=17, markeredgecolor=style.QUIET, markeredgewidth=0.6, zorder=2)
        sheet.marks.append(style.Mark(axes, x, y, rows[x, y]))
        if len(found) <= _WITH_TEXT:
            text_color = "white" if np.mean(to_rgb(color)) < 0.6 else style.TEXT
            axes.text(x, y, short(value, digits=2), ha="center", va="center", size=7, color=text_color, zorder=3)
    _limits(axes, list(found))
    axes.plot(
        weights,
        biases,
        color=style.TEXT,
        linewidth=2,
        zorder=1.5,
        linestyle=style.DASHES,
        label="theory: neither (chi = 1)",
    )
    if len(weights) and np.ptp(weights) < 1e-3:  # relu is critical at one point only
        axes.plot(weights[0], biases[0], "*", color=style.TEXT, markersize=14, zorder=4)
    axes.set_xlabel("variance of the weights times fan_in")
    axes.legend(loc="upper left", fontsize=8.5, frameon=True, framealpha=0.9)
    bar = sheet.figure.colorbar(ScalarMappable(norm, _COLORS), cax=sheet.axes(7.3, 0.6, 0.17, 3.85))
    ticks = (-spread, -spread / 2, 0.0, spread / 2, spread)
    bar.set_ticks(ticks, labels=[short(10**tick, digits=2) for tick in ticks])
    bar.set_label("measured factor on |dL/dz|² per layer, backwards")
    return sheet


def headline(points: Sequence[Point]) -> str:
    """Say on how many networks theory and measurement agree whether gradients grow or shrink."""
    judged = [point for point in points if point.measured is not None and point.predicted is not None]
    same = sum(1 for point in judged if (point.measured > 1) == (point.predicted > 1))  # pyright: ignore
    if not judged:
        return "Gradients over the variances of weights and biases"
    return f"Left of the line gradients shrink, right of it they grow: {same} of {len(judged)} networks do"


def _variances(sweep: Sweep) -> list[tuple[float, float]]:
    columns = (sweep.table[name].astype(float).tolist() for name in (_WEIGHT, _BIAS))
    return list(zip(*columns, strict=True))


def _read(folder: Path, variances: tuple[float, float]) -> Point:
    """Return the measured and predicted factor in a run's run.json."""
    try:
        theory: Any = (read_run(folder) or {}).get("theory")
        measured, predicted = theory["measurement"]["factor"], theory["prediction"]["chi"]
    except (KeyError, TypeError):
        return Point(*variances, None, None)
    return Point(*variances, _number(measured), _number(predicted))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and isfinite(value) else None


def _line(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    columns = read_columns(path, ("weight_variance", "bias_variance"))
    weights, biases = (numbers(columns[name]).filled(np.nan) for name in ("weight_variance", "bias_variance"))
    return weights, biases


def _limits(axes: Axes, places: Sequence[tuple[float, float]]) -> None:
    """Leave half a step of room around the points: the line goes on beyond them."""
    for values, limit in zip(zip(*places, strict=True), (axes.set_xlim, axes.set_ylim), strict=False):
        stops = np.unique(values)
        room = 0.5 * float(np.diff(stops).max()) if len(stops) > 1 else 0.5
        limit(stops[0] - room, stops[-1] + room)
