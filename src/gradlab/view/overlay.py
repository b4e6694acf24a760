"""The gradient of several runs in one figure: what share of the last layer's gradient reaches each layer."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from gradlab.artifacts.read import GRADIENTS, gradient_column, read_layers
from gradlab.view import curves, lanes, style, timesteps
from gradlab.view.format import condition
from gradlab.view.sweeps import Metric, Sweep
from gradlab.view.verdict import in_words

DEPTH, TIME = "layer (depth_index)", "time step"
_MOST = 6  # runs that each have a line; of more, those of the best and the worst config have one
_HEIGHT, _GAP = 3.6, 0.3  # inches of a panel, and between two
_LETTERS, _LETTER = 24, 0.073  # in a line of the legend, and inches of one at 8.5 points, on average


@dataclass(frozen=True)
class Flow:
    """The gradient norm along one way, relative to its end, median over runs.

    Attributes:
        places: Layers, or time steps, rising, shape (N,).
        first: The norms at the first recorded step, over that at the last place, shape (N,).
        last: The same at the last recorded step.
        of: What the norms are of: ``dL/dz`` or, of a net with skips, ``dL/dh``; empty over time.
    """

    places: NDArray[np.int64]
    first: np.ma.MaskedArray
    last: np.ma.MaskedArray
    of: str = ""


@dataclass(frozen=True)
class Line:
    """One line of the figure, in both panels.

    Attributes:
        name: Its label; empty where it has none.
        flow: Its gradient.
        color: Its colour.
        width: Its width in points.
        row: Row of the run in the sweep's table; None where it stands for several.
    """

    name: str
    flow: Flow
    color: str
    width: float = 1.6
    row: int | None = None


def chosen_rows(sweep: Sweep, metric: Metric) -> list[int]:
    """Return the runs whose gradients are overlaid: all of a few, else a run of the best config and one of the worst.

    Args:
        sweep: The sweep.
        metric: What it is ranked by.
    """
    if len(sweep.table) <= _MOST:
        return list(range(len(sweep.table)))
    return [sweep.typical(rows, metric) for _, rows in (sweep.ranked(metric)[end] for end in (0, -1))]


def read_lines(sweep: Sweep, metric: Metric) -> list[Line]:
    """Return the lines of `gradient_flow`; fewer than two where there is nothing to compare.

    Args:
        sweep: The sweep.
        metric: What it is ranked by.
    """
    lines = []
    colors = curves.colors(sweep, metric)
    for row in chosen_rows(sweep, metric):
        try:
            flow = read_flow([sweep.folders[row]])
        except (OSError, ValueError):  # such runs are named where the sweep's table is made
            continue
        if flow is not None and flow.places.size > 1:
            lines.append(Line(sweep.labels[row], flow, colors.get(row, style.QUIET), row=row))
    return lines


def gradient_flow(sweep: Sweep, lines: Sequence[Line]) -> style.Sheet:
    """Draw the gradient of several runs against depth, or time, relative to the last layer's.

    Args:
        sweep: The sweep.
        lines: What `read_lines` returned.
    """
    over = TIME if any((sweep.folders[line.row or 0] / timesteps.FILE).exists() for line in lines) else DEPTH
    names = [textwrap.fill(line.name, _LETTERS) for line in lines]
    right = 0.65 + _LETTER * max(len(part) for name in names for part in name.splitlines())
    sheet = draw_lines(lines, title=headline(sweep, lines, over=over), caption=sweep.caption, over=over, right=right)
    handles = [
        Line2D([], [], color=line.color, linewidth=line.width, label=name)
        for line, name in zip(lines, names, strict=True)
    ]
    sheet.figure.axes[-1].legend(handles=handles, loc="upper left", bbox_to_anchor=(1.03, 1.02), fontsize=8.5)
    return sheet


def headline(sweep: Sweep, lines: Sequence[Line], *, over: str) -> str:
    """Say which share of the last gradient reaches the first layer, or time step, where it is most and where least.

    Args:
        sweep: The sweep.
        lines: What is drawn; two or more.
        over: `DEPTH` or `TIME`.
    """
    ends = sorted(lines, key=lambda line: _end(line.flow))
    words = [f"{condition(line.flow.last[0])} with {line.name}{_judged(sweep, line)}" for line in (ends[-1], ends[0])]
    return f"Share of the gradient that reaches {_place(over)} {ends[0].flow.places[0]}: {', '.join(words)}"


def draw_lines(
    lines: Sequence[Line], *, title: str, caption: str, over: str, left: float = 0.95, right: float = 1.0
) -> style.Sheet:
    """Draw the gradient at every layer, or time step, relative to the last: before training and at its end.

    Args:
        lines: What to draw, the most important last, so that nothing covers it.
        title: What the figure shows, in words.
        caption: The configuration that was run.
        over: `DEPTH` or `TIME`.
        left: Left edge of the first panel in inches.
        right: Room to the right of the last panel in inches.
    """
    same = all(np.ma.allequal(line.flow.first, line.flow.last) for line in lines)
    sheet = style.sheet(title, caption=caption, height=4.5)
    scale = scale_of(lines)
    last = max(int(line.flow.places[-1]) for line in lines)
    first = min(int(line.flow.places[0]) for line in lines)
    panels = (("first", "at the first step"), ("last", "at the last step"))[: 1 if same else 2]
    whole = style.WIDTH - left - right
    width = whole if same else (whole - _GAP) / 2
    for place, (moment, heading) in enumerate(panels):
        axes = sheet.axes(left + place * (width + _GAP), 0.55, width, _HEIGHT, name="" if place else _name(lines, over))
        for line in lines:
            values = getattr(line.flow, moment)
            lanes.draw(axes, line.flow.places.astype(float), values, scale, color=line.color, width=line.width)
            if line.name:
                sheet.marks.extend(_marks(axes, line, values, over=over))
        lanes.dress(axes, scale)
        axes.set_xlim(first - 0.03 * (last - first), last + 0.03 * (last - first))
        axes.set_xticks(style.integer_ticks(first, last))
        axes.set_xlabel(over)
        axes.set_title("" if same else heading)
        if place:
            axes.tick_params(labelleft=False)
    return sheet


def scale_of(lines: Sequence[Line]) -> lanes.Lanes:
    """Return the vertical axis that holds all lines."""
    return lanes.fit(*(values for line in lines for values in (line.flow.first, line.flow.last)))


def read_flow(runs: Sequence[Path]) -> Flow | None:
    """Return the gradient of runs over time, where they have time steps, else over depth; None without any.

    Args:
        runs: Folders of runs of one net with several seeds.

    Raises:
        OSError: A table is missing.
        ValueError: A table is broken.
    """
    ways = [way for run in runs if (way := _way(run)) is not None]
    same = [way for way in ways if way[1].shape == ways[0][1].shape]
    if not same:
        return None
    first, last = (np.ma.median(np.ma.stack([_relative(way[1][end]) for way in same]), axis=0) for end in (0, -1))
    return Flow(same[0][0], first, last, same[0][2])


def _name(lines: Sequence[Line], over: str) -> str:
    of = sorted({line.flow.of for line in lines} - {""}, reverse=True)
    norm = f"norm of {', with skips '.join(of)}" if of else "gradient norm"
    return f"{norm} / that of the last {_place(over)}"


def _place(over: str) -> str:
    return "time step" if over == TIME else "layer"


def _marks(axes: Axes, line: Line, values: np.ma.MaskedArray, *, over: str) -> list[style.Mark]:
    """Return what a reader may point at on one line."""
    heights = lanes.positions(values).tolist()
    texts = [f"{line.name}, {_place(over)} {place}: {condition(value)}" for place, value in _pairs(line.flow, values)]
    marks = zip(line.flow.places.tolist(), heights, texts, strict=True)
    return [
        style.Mark(axes, float(place), height, -1 if line.row is None else line.row, text)
        for place, height, text in marks
    ]


def _pairs(flow: Flow, values: np.ma.MaskedArray) -> list[tuple[int, float]]:
    return [(int(place), values[number]) for number, place in enumerate(flow.places)]


def _judged(sweep: Sweep, line: Line) -> str:
    words = in_words(str(sweep.verdicts.iloc[line.row])) if line.row is not None else ""
    return f" ({words})" if words else ""


def _end(flow: Flow) -> float:
    """Return a number that ranks the flows by what arrives; what is not finite or not measured is the least."""
    value = flow.last[0]
    return -1.0 if value is np.ma.masked or not np.isfinite(value) else float(value)


def _way(run: Path) -> tuple[NDArray[np.int64], np.ma.MaskedArray, str] | None:
    """Return the places of one run, the norms there at its recorded steps, shape (S, N), and what they are of."""
    if (run / timesteps.FILE).exists():
        times = timesteps.read_times(run)
        return (times.times, times.grads[times.remembering], "") if times.steps.size else None
    layers = read_layers(run, (gradient_column(run),), steps=2)
    inner = layers.columns[layers.gradient][:, : layers.hidden]
    return (layers.depths[: layers.hidden], inner, GRADIENTS[layers.gradient]) if inner.size else None


def _relative(norms: np.ma.MaskedArray) -> np.ma.MaskedArray:
    """Return the norms over that of the last place whose norm is positive and finite.

    Over a norm of 0 or inf a zero would show as not finite, and what is finite as zero.
    """
    plain = norms.filled(np.nan)
    usable = np.flatnonzero(np.isfinite(plain) & (plain > 0))
    with np.errstate(over="ignore"):
        quotients = plain / plain[usable[-1]] if usable.size else plain
    return np.ma.MaskedArray(quotients, mask=np.ma.getmaskarray(norms))
