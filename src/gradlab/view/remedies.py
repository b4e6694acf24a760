"""How the gradient travels with each remedy: one line a remedy, the best in colour, the net as it is in black."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradlab.artifacts.read import read_layers
from gradlab.view import lanes, style, timesteps
from gradlab.view.flow import BACKWARD

COLORED = len(style.DISTINCT) - 2  # the last two colours are near the greys of the other lines
_OTHERS = "#C9C9C9"
_WIDTH, _HEIGHT = 2.55, 3.8  # inches of a panel


@dataclass(frozen=True)
class Flow:
    """The gradient norm along one way, relative to its end, median over runs.

    Attributes:
        places: Layers, or time steps, rising, shape (N,).
        first: The norms at the first recorded step, over that at the last place, shape (N,).
        last: The same at the last recorded step.
    """

    places: NDArray[np.int64]
    first: np.ma.MaskedArray
    last: np.ma.MaskedArray


@dataclass(frozen=True)
class Line:
    """One remedy in the figure.

    Attributes:
        name: Its label.
        flow: Its gradient.
        base: Whether it is the net as it is.
    """

    name: str
    flow: Flow
    base: bool = False


def read_flow(runs: Sequence[Path]) -> Flow | None:
    """Return the gradient of a remedy's runs over time, where they have time steps, else over depth; None without any.

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
    return Flow(same[0][0], first, last)


def remedy_flow(lines: Sequence[Line], *, title: str, caption: str, over: str) -> style.Sheet:
    """Draw the gradient at every layer, or time step, relative to the last, before training and after.

    Args:
        lines: The remedies, the best first: as many as there are colours are coloured and named.
        title: What the figure shows, in words.
        caption: The configuration that was run.
        over: What the gradient travels along: ``layer (depth_index)`` or ``time step``.
    """
    sheet = style.sheet(title, caption=caption, height=4.7)
    scale = lanes.fit(*(values for line in lines for values in (line.flow.first, line.flow.last)))
    colored = [line for line in lines if not line.base][:COLORED]
    colors = {line.name: color for line, color in zip(colored, style.DISTINCT, strict=False)}
    last = max(int(line.flow.places[-1]) for line in lines)
    first = min(int(line.flow.places[0]) for line in lines)
    for left, moment, heading in ((2.15, "first", "at step 0"), (5.55, "last", "at the last step")):
        axes = sheet.axes(left, 0.55, _WIDTH, _HEIGHT)
        # The net as it is comes last, so that no remedy hides it.
        for line in sorted(lines, key=lambda line: (line.base, line.name in colors)):
            color = style.TEXT if line.base else colors.get(line.name, _OTHERS)
            width = 2.2 if line.base else 1.6 if line.name in colors else 0.9
            values = getattr(line.flow, moment)
            lanes.draw(axes, line.flow.places.astype(float), values, scale, color=color, width=width)
        lanes.dress(axes, scale)
        axes.set_xlim(first - 0.03 * (last - first), last + 0.03 * (last - first))
        axes.set_xticks(style.integer_ticks(first, last))
        axes.set_xlabel(over)
        axes.set_title(heading)
        axes.yaxis.tick_right()
    left = sheet.figure.axes[0]
    named = [line for line in lines if line.base or line.name in colors]
    ends = [(lanes.place_of(line.flow.first[0], scale), line.name, colors.get(line.name, style.TEXT)) for line in named]
    lanes.label_ends(left, ends, side="left")
    return sheet


def _way(run: Path) -> tuple[NDArray[np.int64], np.ma.MaskedArray] | None:
    """Return the places of one run and the norms there at its recorded steps, shape (S, N)."""
    if (run / timesteps.FILE).exists():
        times = timesteps.read_times(run)
        return (times.times, times.grads[times.remembering]) if times.steps.size else None
    layers = read_layers(run, (BACKWARD,), steps=2)
    inner = layers.columns[BACKWARD][:, : layers.hidden]
    return (layers.depths[: layers.hidden], inner) if inner.size else None


def _relative(norms: np.ma.MaskedArray) -> np.ma.MaskedArray:
    with np.errstate(all="ignore"):
        plain = norms.filled(np.nan)
        return np.ma.MaskedArray(plain / plain[-1], mask=np.ma.getmaskarray(norms))
