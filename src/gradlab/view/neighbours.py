"""How alike the gradients of neighbouring inputs are: the shattered gradients of Balduzzi et al. 2017."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from gradlab.artifacts.read import numbers, read_columns
from gradlab.view import lanes, style
from gradlab.view.format import short
from gradlab.view.sweeps import Sweep, in_order

FILE = "neighbours.csv"
_COLUMNS = ("step", "depth_index", "lag", "grad_cosine")
_AXIS = "cosine of dL/dz and the neighbour's"


@dataclass(frozen=True)
class Neighbours:
    """A run's ``neighbours.csv`` at its first recorded step.

    Attributes:
        depths: ``depth_index`` of each layer in ascending order, shape (L,).
        cosines: By distance in the batch, smallest first, the cosines, shape (L,).
    """

    depths: NDArray[np.int64]
    cosines: Mapping[int, np.ma.MaskedArray]


def read_neighbours(run_dir: Path) -> Neighbours:
    """Return a run's ``neighbours.csv`` at its first step.

    Raises:
        OSError: There is none.
        ValueError: It lacks a column or a row, or one is broken.
    """
    cells = read_columns(run_dir / FILE, _COLUMNS, steps=1)
    steps, depths, lags = (np.array([int(cell) for cell in cells[name]], dtype=np.int64) for name in _COLUMNS[:3])
    if not steps.size:
        raise ValueError(f"{run_dir / FILE}: no row")
    values, first = numbers(cells["grad_cosine"]), steps == steps.min()
    found, place = np.unique(depths, return_inverse=True)
    cosines = {}
    for lag in np.unique(lags).tolist():
        own = first & (lags == lag)
        cosines[lag] = np.ma.masked_all(len(found))
        cosines[lag][place[own]] = values[own]
    return Neighbours(depths=found, cosines=cosines)


def likeness(neighbours: Neighbours, *, caption: str) -> style.Sheet:
    """Draw how alike neighbours' gradients are at each layer of a run, one line for each distance.

    Args:
        neighbours: The run's cosines.
        caption: The configuration that was run.
    """
    lag, nearest = next(iter(neighbours.cosines.items()))
    places = "place" if lag == 1 else "places"
    head = f"At layer {neighbours.depths[0]}, the gradients of samples {lag} {places} apart have a cosine of"
    sheet = style.sheet(f"{head} {short(float(nearest[0]), digits=2)}", caption=caption, height=3.9)
    axes = sheet.axes(0.95, 0.6, 6.6, 3.05, name=_AXIS)
    scale = lanes.fit(*neighbours.cosines.values(), np.ma.MaskedArray([0.0, 1.0]), log=False)
    shades = style.shades(len(neighbours.cosines))
    for color, (lag, values) in zip(shades, neighbours.cosines.items(), strict=True):
        lanes.draw(axes, neighbours.depths.astype(float), values, scale, color=color, label=str(lag))
    _dress(axes, scale, neighbours.depths, name="layer")
    style.note_colours(axes, "places apart")
    return sheet


def can_draw(sweep: Sweep) -> bool:
    """Whether runs of two depths or more recorded how alike neighbours' gradients are."""
    depths, values = _by_run(sweep)
    return len(np.unique(depths[~np.ma.getmaskarray(values)])) > 1


def likeness_by_depth(sweep: Sweep) -> style.Sheet:
    """Draw how alike neighbours' gradients are at the first layer against the number of layers, over a sweep's runs.

    Colour shows the first key that was swept beside the depth; a line joins the medians.

    Args:
        sweep: A sweep for which `can_draw` holds.
    """
    depths, values = _by_run(sweep)
    measured = ~np.ma.getmaskarray(values)
    stops = np.unique(depths[measured])
    deepest = values[measured & (depths == stops[-1])]
    low, high = (short(float(value), digits=2) for value in (deepest.min(), deepest.max()))
    title = f"Through {stops[-1]:.0f} layers, the gradients of neighbouring inputs have a cosine of"
    sheet = style.sheet(f"{title} {low}" + (f" to {high}" if high != low else ""), caption=sweep.caption, height=4.0)
    axes = sheet.axes(0.95, 0.65, 5.9, 3.1, name=_AXIS)
    scale = lanes.fit(values, np.ma.MaskedArray([0.0, 1.0]), log=False)
    key = next((key for key in sweep.swept if key not in ("model.depth", "seed")), None)
    names = [str(name) for name in sweep.table[key]] if key else ["all runs"] * len(depths)
    for number, name in enumerate(in_order(names)):
        color = style.DISTINCT[number % len(style.DISTINCT)]
        own = measured & (np.array(names) == name)
        lanes.draw(axes, depths[own], values[own], scale, color=color, label=name, line=False)
        there = np.unique(depths[own])
        axes.plot(there, [np.median(values.data[own & (depths == stop)]) for stop in there], color=color, linewidth=1.2)
        rows = np.flatnonzero(own).tolist()
        sheet.marks.extend(style.Mark(axes, float(depths[row]), float(values[row]), row) for row in rows)
    _dress(axes, scale, stops, name="hidden layers")
    style.note_colours(axes, key.split(".")[-1] if key else "")
    return sheet


def _by_run(sweep: Sweep) -> tuple[NDArray[np.float64], np.ma.MaskedArray]:
    """Return each run's number of hidden layers, and the first layer's cosine at the smallest distance or nothing."""
    values = np.ma.masked_all(len(sweep.folders))
    for row, folder in enumerate(sweep.folders):
        try:
            values[row] = next(iter(read_neighbours(folder).cosines.values()))[0]
        except (OSError, ValueError):
            continue
    return sweep.table["hidden_layers"].to_numpy(dtype=float), values


def _dress(axes: Axes, scale: lanes.Lanes, places: NDArray[np.float64] | NDArray[np.int64], *, name: str) -> None:
    lanes.dress(axes, scale)
    for height in (0.0, 1.0):
        axes.axhline(height, color=style.TEXT, linewidth=0.9, linestyle="--", zorder=1)
    if len(places) < 9 and places[-1] > 8 * places[0]:
        axes.set_xscale("log", base=2)
        axes.minorticks_off()
        axes.set_xticks(places, [f"{place:.0f}" for place in places])
    else:
        ticks = style.integer_ticks(int(places[0]), int(places[-1])) if len(places) > 1 else places
        axes.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
    axes.set_xlabel(name)
