"""Two swept keys against each other: a table of colours with the median of all runs that share the two values."""

from itertools import combinations, islice

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import Normalize, to_rgba
from matplotlib.patches import Patch
from numpy.typing import NDArray

from gradlab.view import lanes, style
from gradlab.view.format import label, short
from gradlab.view.sweeps import Metric, Sweep, in_order, median

_MOST, _WITH_TEXT, _PAIRS = 40, 14, 3
_PREFERRED = ("activation", "initializer", "model.depth")
_COLORS = colormaps["viridis"]
_NOTHING = ("failed or diverged", "#EFC4DC")


def pairs(sweep: Sweep) -> list[tuple[str, str]]:
    """Return the pairs of swept keys that are drawn by default, the most informative first."""
    keys = [key for key in sweep.swept if sweep.table[key].nunique() <= _MOST]
    keys.sort(key=lambda key: _PREFERRED.index(key) if key in _PREFERRED else len(_PREFERRED))
    return list(islice(combinations(keys, 2), _PAIRS))


def grid(sweep: Sweep, metric: Metric, *, rows: str, columns: str) -> style.Sheet:
    """Draw a metric for every pair of values of two keys.

    Args:
        sweep: The sweep.
        metric: What the colours show.
        rows: Key whose values are the rows.
        columns: Key whose values are the columns.
    """
    table = sweep.table
    down, across = in_order(list(table[rows])), in_order(list(table[columns]))
    values = medians(sweep, metric, rows=rows, columns=columns)
    height = 0.65 + min(5.0, max(1.4, 0.34 * len(down)))
    others = [key for key in sweep.swept if key not in (rows, columns)]
    title = headline(values, metric, rows=(rows, down), columns=(columns, across))
    title += f" (median over {', '.join(others)} and seed)" if others else ""
    sheet = style.sheet(title, caption=sweep.caption, height=height)
    axes = sheet.axes(1.75, 0.55, 5.7, height - 0.65)
    shown = lanes.positions(values, log=metric.log or lanes.in_decades(values))
    finite = shown[np.isfinite(shown)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    pixels = _COLORS(Normalize(low, high)(np.nan_to_num(shown)))
    pixels[~np.isfinite(shown)] = to_rgba(_NOTHING[1])
    pixels[np.ma.getmaskarray(values)] = to_rgba("#FFFFFF")
    axes.imshow(pixels, aspect="auto", interpolation="none")
    missing = np.ma.getmaskarray(values)
    if max(values.shape) <= _WITH_TEXT:
        for (row, column), value in np.ndenumerate(values.data):
            dark = np.mean(pixels[row, column, :3]) < 0.5
            text = short(float(value), digits=2) if np.isfinite(value) and not missing[row, column] else ""
            axes.text(column, row, text, ha="center", va="center", size=8, color="white" if dark else "black")
    axes.set_xticks(range(len(across)), [value[:16] for value in across], rotation=0 if len(across) <= 7 else 60)
    axes.set_yticks(range(len(down)), [value[:24] for value in down])
    axes.set_xlabel(columns)
    axes.set_ylabel(rows)
    if (~np.isfinite(shown) & ~missing).any():
        axes.legend(
            handles=[Patch(facecolor=_NOTHING[1], label=_NOTHING[0])],
            loc="upper left",
            bbox_to_anchor=(1.01, 1),
            fontsize=8,
        )
    return sheet


def headline(
    values: np.ma.MaskedArray, metric: Metric, *, rows: tuple[str, list[str]], columns: tuple[str, list[str]]
) -> str:
    """Name the best pair of values.

    Args:
        values: What `medians` returned.
        metric: What it is.
        rows: Key of the rows, and its values.
        columns: Key of the columns, and its values.
    """
    score = np.where(
        np.ma.getmaskarray(values),
        -np.inf,
        metric.score(pd.Series(values.filled(np.nan).ravel())).reshape(values.shape),
    )
    title = f"{metric.label.capitalize()} by {rows[0]} and {columns[0]}"
    if not np.isfinite(score).any():
        return title
    row, column = np.unravel_index(int(np.argmax(score)), score.shape)
    pair = label({rows[0]: rows[1][row], columns[0]: columns[1][column]})
    return f"{title}: best is {pair} ({short(float(values[row, column]))})"


def medians(sweep: Sweep, metric: Metric, *, rows: str, columns: str) -> np.ma.MaskedArray:
    """Return the median of a metric over the runs of each pair of values; masked where there is no run.

    A run that did not complete counts as worse than all others.
    """
    table, values = sweep.table, sweep.values(metric)
    down, across = in_order(list(table[rows])), in_order(list(table[columns]))
    found = np.ma.masked_all((len(down), len(across)))
    pairs = list(zip(table[rows], table[columns], strict=True))
    for first, second in set(pairs):
        chosen = np.array([pair == (first, second) for pair in pairs])
        found[down.index(first), across.index(second)] = _middle(values.to_numpy(dtype=float)[chosen], metric)
    return found


def _middle(values: NDArray[np.float64], metric: Metric) -> float:
    return median(np.where(np.isnan(values), -np.inf if metric.better == "high" else np.inf, values))
