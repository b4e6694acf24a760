"""The gradient through time: what the states of recurrent layers receive at each time step."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from gradlab.artifacts.read import numbers, read_columns, spread_out
from gradlab.view import heatmap, lanes, style
from gradlab.view.format import condition, quotient
from gradlab.view.verdict import Opening

FILE = "timesteps.csv"
_KEYS = ["step", "depth_index", "time"]
_STATES = {"hidden_grad_norm": ("h", "hidden state"), "cell_grad_norm": ("c", "cell state")}
_MOST_LINES = 5
_NONE = Opening()
_PLACES = {1: ((0.95, 7.05),), 2: ((0.95, 3.05), (5.00, 3.05))}  # left edges and widths of the panels of a row


@dataclass(frozen=True)
class Times:
    """A run's ``timesteps.csv``.

    Attributes:
        steps: Recorded optimizer steps in ascending order, shape (S,).
        times: Time steps in ascending order, shape (T,).
        grads: Gradient norms by (depth_index, column), each of shape (S, T), masked where nothing was measured.
    """

    steps: NDArray[np.int64]
    times: NDArray[np.int64]
    grads: Mapping[tuple[int, str], np.ma.MaskedArray]

    @property
    def remembering(self) -> tuple[int, str]:
        """Key of the state that carries the first layer's memory: the cell state of an LSTM, else the hidden state."""
        first = min(depth for depth, _ in self.grads)
        return next(key for key in reversed(list(self.grads)) if key[0] == first)


def read_times(run_dir: Path) -> Times:
    """Return the gradient norms of a run's ``timesteps.csv``.

    Raises:
        ValueError: The table lacks a column, or a row is broken.
    """
    with (run_dir / FILE).open(encoding="utf-8") as file:
        header = file.readline().strip().split(",")
    columns = [name for name in _STATES if name in header]
    cells = read_columns(run_dir / FILE, [*_KEYS, *columns])
    (steps, row), (depths, layer), (times, place) = (
        np.unique(np.array([int(cell) for cell in cells[key]], dtype=np.int64), return_inverse=True) for key in _KEYS
    )
    grads = {}
    for number, depth in enumerate(depths.tolist()):
        for name in columns:
            matrix = np.ma.masked_all((len(steps), len(times)))
            own = layer == number
            matrix[row[own], place[own]] = numbers(cells[name])[own]
            grads[depth, name] = matrix
    return Times(steps=steps, times=times, grads=grads)


def timestep_flow(times: Times, *, caption: str, verdict: Opening = _NONE) -> style.Sheet:
    """Draw the gradient that each time step's state receives, at five recorded steps at most.

    The first layer is drawn and, of several, the last; of an LSTM both states.

    Args:
        times: A run's time steps; at least one step.
        caption: The configuration that was run.
        verdict: How the title begins.
    """
    ends = sorted({depth for depth, _ in times.grads})
    ends = [ends[0], *ends[1:][-1:]]
    keys = [key for key in times.grads if key[0] in ends]
    rows = [keys] if len(keys) <= 2 else [keys[:2], keys[2:]]
    tall = 3.05 if len(rows) == 1 else 2.2
    height = len(rows) * (tall + 0.9)
    sheet = style.sheet(verdict.title(headline(times)), caption=caption, height=height, color=verdict.color)
    for number, row in enumerate(rows):
        bottom = 0.55 + (len(rows) - 1 - number) * (tall + 0.85)
        for (left, width), key in zip(_PLACES[len(row)], row, strict=True):
            letter, name = _STATES[key[1]]
            axes = sheet.axes(left, bottom, width, tall, name=f"L2 norm of dL/d{letter} over the batch")
            _panel(axes, times, times.grads[key])
            axes.set_title(name.capitalize() + (f" of layer {key[0]}" if len(ends) > 1 else ""))
        if not number:
            style.note_colours(sheet.figure.axes[-1], "optimizer\nstep")
    return sheet


def timestep_heatmap(times: Times, *, caption: str, verdict: Opening = _NONE) -> style.Sheet:
    """Draw log10 of the first layer's gradient norm, time steps against optimizer steps.

    Args:
        times: A run's time steps; at least one step.
        caption: The configuration that was run.
        verdict: How the title begins.
    """
    depth, column = times.remembering
    values = times.grads[depth, column]
    letter, name = _STATES[column]
    sheet = style.sheet(verdict.title(headline(times)), caption=caption, height=3.8, color=verdict.color)
    scale = lanes.fit(values)
    axes = sheet.axes(*heatmap.BODY, name=f"time step ({name} of layer {depth})")
    heatmap.picture(axes, values, scale)
    axes.set_yticks(*heatmap.ticks(times.times))
    axes.set_xticks(*heatmap.ticks(times.steps))
    axes.set_xlabel("optimizer step")
    if not scale.empty:
        heatmap.bar(sheet, scale, f"L2 norm of dL/d{letter} over the batch")
    heatmap.legend(axes, values, scale)
    return sheet


def headline(times: Times) -> str:
    """Say how much of the last time step's gradient reaches the first one, at the first and the last step."""
    values = times.grads[times.remembering]
    first, last = times.times[0], times.times[-1]
    rows = spread_out(len(times.steps), 2)
    ends = values[rows][:, [0, -1]]
    whole, said = "", [condition(part) for part in ends[:, 0]]
    if len(times.times) > 1 and np.isfinite(lanes.positions(ends)).all():
        whole, said = f"of t = {last}'s ", [quotient(part, end, digits=2) for part, end in ends.data]
    at = [f"at step {step}" for step in times.steps[rows]]
    shares = [f"{share} {when}" for share, when in zip(said, [whole + at[0], *at[1:]], strict=True)]
    return f"Gradient reaching time step t = {first} is {', '.join(shares)}"


def _panel(axes: Axes, times: Times, values: np.ma.MaskedArray) -> None:
    scale = lanes.fit(values)
    drawn = spread_out(len(times.steps), _MOST_LINES)
    looks = zip(drawn, style.shades(len(drawn)), np.linspace(0.32, -0.32, len(drawn)), strict=True)
    for row, color, shift in looks:
        label = str(times.steps[row])
        lanes.draw(axes, times.times.astype(float), values[row], scale, color=color, label=label, shift=float(shift))
    style.keep_small(axes)
    lanes.dress(axes, scale)
    first, last = int(times.times[0]), int(times.times[-1])
    axes.set_xlim(first - 0.02 * (last - first) - 0.2, last + 0.02 * (last - first) + 0.2)
    axes.set_xticks(style.integer_ticks(first, last))
    axes.set_xlabel("time step t")
