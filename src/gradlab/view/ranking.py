"""Which config of a sweep is the best, which the worst, and how far its seeds agree."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from gradlab.view import lanes, style
from gradlab.view.format import short
from gradlab.view.sweeps import Metric, Sweep
from gradlab.view.verdict import color_of, in_words

_MOST = 24  # configs that a reader can take in
_LETTERS = 50  # of a config's label
_LINE = 0.215  # inches
_LETTER = 0.068  # inches of a letter at 8 points, on average
_BETTER = {"high": "higher is better", "low": "lower is better", "one": "nearer to 1 is better"}


class Line(NamedTuple):
    """One config in the drawing: its height, label, and the rows of its runs (none: configs were left out here)."""

    y: int
    label: str
    rows: NDArray[np.int64]


def ranking(sweep: Sweep, metric: Metric) -> style.Sheet:
    """Draw the configs of a sweep from the best to the worst: every run, and the median over seeds.

    Of many configs the twelve best and the twelve worst are drawn. Colours are those of the last verdict.

    Args:
        sweep: The sweep.
        metric: What it is ranked by.
    """
    lines = _lines(sweep, metric)
    height = 0.95 + _LINE * len(lines)
    sheet = style.sheet(headline(sweep, metric), caption=sweep.caption, height=height)
    values = sweep.values(metric)
    remarks = [_remark(sweep, values, line.rows) for line in lines]
    # The names and the remarks take what they need, the axes the rest.
    left = max(1.0, 0.35 + _LETTER * max(len(line.label) for line in lines))
    right = 0.3 + _LETTER * max(map(len, remarks))
    axes = sheet.axes(left, 0.55, max(2.5, style.WIDTH - left - right), height - 0.85)
    numbers = np.ma.MaskedArray(values.to_numpy(dtype=float), mask=values.isna())
    log = metric.log or lanes.in_decades(numbers)
    places = lanes.positions(numbers, log=log)
    for line, text in zip(lines, remarks, strict=True):
        _draw(sheet, axes, line, places, verdicts=sweep.verdicts)
        axes.text(1.02, line.y, text, transform=axes.get_yaxis_transform(), va="center", size=8)
    axes.set_yticks([line.y for line in lines], [line.label for line in lines], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(lines[-1].y - 0.7, lines[0].y + 0.7)
    scale = lanes.fit(numbers, log=log)
    axes.set_xlim(scale.low, scale.high)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=log and scale.high - scale.low > 3))
    if log:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda exponent, _: short(10**exponent)))
    if metric.better == "one":
        axes.axvline(0, color=style.QUIET, linewidth=1.2, linestyle=style.DASHES, zorder=1)
    axes.set_xlabel(f"{metric.label} ({_BETTER[metric.better]})")
    axes.grid(color=style.FAINT, linewidth=0.6)
    _legend(axes, sweep)
    return sheet


def headline(sweep: Sweep, metric: Metric) -> str:
    """Name the best config and the worst."""
    order, values = sweep.ranked(metric), sweep.values(metric)
    (best, first), (worst, last) = order[0], order[-1]
    if len(order) == 1:
        return f"{metric.label.capitalize()}: {_remark(sweep, values, first)}"
    ends = f"{best} ({_remark(sweep, values, first)}); worst: {worst} ({_remark(sweep, values, last)})"
    return f"Best {metric.label}: {ends}"


def _lines(sweep: Sweep, metric: Metric) -> list[Line]:
    order = [
        (name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…", rows) for name, rows in sweep.ranked(metric)
    ]
    if len(order) > _MOST:
        gap = (f"… {len(order) - _MOST} more …", np.arange(0))
        order = [*order[: _MOST // 2], gap, *order[-_MOST // 2 :]]
    return [Line(-place, name, rows) for place, (name, rows) in enumerate(order)]


def _draw(sheet: style.Sheet, axes: Axes, line: Line, places: NDArray[np.float64], *, verdicts: pd.Series) -> None:
    """Draw the runs of one config as small dots and, of several, their median as a bar."""
    found = places[line.rows]
    for row, x in zip(line.rows.tolist(), found.tolist(), strict=True):
        axes.plot([x], [line.y], "o", color=color_of(verdicts.iloc[row]), markersize=5, alpha=0.8)
        sheet.marks.append(style.Mark(axes, x, line.y, row))
    seen = found[np.isfinite(found)]
    if seen.size > 1:
        axes.plot([seen.min(), seen.max()], [line.y, line.y], color=style.QUIET, linewidth=1, zorder=1)
        axes.plot([np.median(seen)], [line.y], "|", color=style.TEXT, markersize=11, markeredgewidth=1.6)


def _legend(axes: Axes, sweep: Sweep) -> None:
    """Name the colours of the verdicts in a row above the axes."""
    names = [name for name in dict.fromkeys(sweep.verdicts) if name]
    named = {in_words(name): color_of(name) for name in names if color_of(name) != style.QUIET}
    if len(named) < len(names):
        named["another verdict"] = style.QUIET
    bar = [Line2D([], [], color=style.TEXT, marker="|", linewidth=0, markersize=10, label="median over seeds")]
    several = any(len(rows) > 1 for _, rows in sweep.configs())
    handles = [
        Line2D([], [], color=color, marker="o", linewidth=0, label=name) for name, color in named.items() if name
    ]
    axes.legend(
        handles=[*handles, *(bar if several else [])], loc="lower left", bbox_to_anchor=(-0.03, 1.0), ncols=5,
        fontsize=8, borderaxespad=0.2, columnspacing=1.4, handletextpad=0.2,
    )  # fmt: skip


def _remark(sweep: Sweep, values: pd.Series, rows: NDArray[np.int64]) -> str:
    """Say a config's median and its verdict, or how many of its runs did not complete."""
    if not rows.size:
        return ""
    endings = Counter(sweep.table["status"].iloc[rows])
    bad = [f"{count} of {rows.size} {status}" for status, count in endings.items() if status != "completed"]
    verdict = in_words(Counter(sweep.verdicts.iloc[rows]).most_common(1)[0][0])
    found = values.iloc[rows].dropna()
    number = short(found.median()) if found.size else ""
    if bad:  # what completed is no measure of a config that often does not
        return ", ".join([*bad, *([f"else {number}"] if number else [])])
    return ", ".join(word for word in (number, verdict) if word)
