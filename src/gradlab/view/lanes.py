"""A vertical axis that shows every number: a band for the data, and lanes for zeros and non-finite values.

A logarithmic axis has no room for 0, and no axis has room for nan. Dropping such points would hide exactly the runs
that matter here, and clamping them would invent data. So zeros get a lane below the data and non-finite values one
above it. Positions are log10 of the values on a linear axis, which carries 1e-300 and 1e300 in one figure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gradlab.view import style
from gradlab.view.format import power_of_ten, short

_DECADES = 2.6  # the least that a logarithmic axis spans, so that noise does not look like a trend
_FEW_DECADES = 3.0  # of an axis that shows numbers rather than powers of ten
_LANE = 0.11  # height of a lane as a share of the data band


@dataclass(frozen=True)
class Lanes:
    """Where values go on a vertical axis.

    Attributes:
        log: Whether positions in the data band are log10 of the values, rather than the values.
        low: Lower edge of the data band.
        high: Upper edge of the data band.
        zeros: Whether there is a lane for exact zeros (logarithmic axes only).
        odd: Whether there is a lane for values that are not finite.
        empty: Whether the data band holds no value at all.
    """

    log: bool
    low: float
    high: float
    zeros: bool
    odd: bool
    empty: bool

    @property
    def height(self) -> float:
        """Height of one lane in axis units."""
        return _LANE * (self.high - self.low)


def positions(values: np.ma.MaskedArray, *, log: bool = True) -> NDArray[np.float64]:
    """Return the place of each value in the data band, nan where it has none or was not measured."""
    plain = values.filled(np.nan)
    inside = np.isfinite(plain) & (plain > 0) if log else np.isfinite(plain)
    place = np.full(plain.shape, np.nan)
    place[inside] = np.log10(plain[inside]) if log else plain[inside]
    return place


def place_of(value: float, lanes: Lanes) -> float:
    """Return the height at which one value of a logarithmic axis is drawn: in a lane where it has no logarithm.

    Args:
        value: The value; what was not measured has no place and goes to the upper edge.
        lanes: The axis.
    """
    if value is np.ma.masked:
        return lanes.high
    if not np.isfinite(value):
        return lanes.high + lanes.height / 2
    return float(np.log10(value)) if value > 0 else lanes.low - lanes.height / 2


def zeros(values: np.ma.MaskedArray) -> NDArray[np.bool_]:
    """Return where a value was measured and is exactly zero."""
    return (values == 0).filled(False)


def odd(values: np.ma.MaskedArray) -> NDArray[np.bool_]:
    """Return where a value was measured and is not finite."""
    return ~np.isfinite(values.filled(0.0))


def in_decades(*series: np.ma.MaskedArray) -> bool:
    """Whether the series are best seen in decades: none is negative, and the finite ones span two or more."""
    values = np.concatenate([one.compressed() for one in series])
    values = values[np.isfinite(values)]
    positive = values[values > 0]
    return bool(positive.size and values.min() >= 0 and np.log10(positive.max()) - np.log10(positive.min()) >= 2)


def fit(*series: np.ma.MaskedArray, log: bool = True) -> Lanes:
    """Return the axis that holds all the series.

    Args:
        *series: Values to be drawn on the axis.
        log: Whether the data band is logarithmic.
    """
    places = np.concatenate([positions(values, log=log).ravel() for values in series])
    places = places[np.isfinite(places)]
    low, high = (places.min(), places.max()) if places.size else (0.0, 0.0)
    least = _DECADES if log else 0.1 * max(abs(low), abs(high)) or 1.0
    slack = max(0.04 * (high - low), (least - (high - low)) / 2)
    return Lanes(
        log=log,
        low=float(low - slack),
        high=float(high + slack),
        zeros=log and any(zeros(values).any() for values in series),
        odd=any(odd(values).any() for values in series),
        empty=places.size == 0,
    )


def dress(axes: Axes, lanes: Lanes) -> None:
    """Set limits and ticks of an axis, and draw the lanes that it needs.

    Args:
        axes: The axes to set up.
        lanes: Its vertical axis.
    """
    bottom, top = lanes.low, lanes.high
    ticks = _ticks(lanes, most=max(3, round(axes.bbox.height / 45)))
    axes.grid(axis="y", color=style.FAINT, linewidth=0.6)
    if lanes.zeros:
        bottom -= lanes.height
        ticks.append((lanes.low - lanes.height / 2, "exactly 0"))
        _lane(axes, bottom, lanes.low)
    if lanes.odd:
        top += lanes.height
        ticks.append((lanes.high + lanes.height / 2, "not finite"))
        _lane(axes, lanes.high, top)
    axes.set_ylim(bottom, top)
    axes.set_yticks([place for place, _ in ticks], [label for _, label in ticks])
    if lanes.empty and not lanes.zeros and not lanes.odd:
        axes.text(0.5, 0.5, "nothing was recorded", transform=axes.transAxes, ha="center", va="center", size=8.5)
    if lanes.log and not lanes.empty and lanes.high - lanes.low < 7:
        minor = np.add.outer(np.arange(np.floor(lanes.low), lanes.high), np.log10(np.arange(2, 10))).ravel()
        axes.set_yticks([place for place in minor if lanes.low <= place <= lanes.high], minor=True)


def draw(
    axes: Axes,
    x: NDArray[np.float64],
    values: np.ma.MaskedArray,
    lanes: Lanes,
    *,
    color: str,
    label: str = "",
    width: float = 1.5,
    shift: float = 0.0,
    line: bool = True,
    marker: str = "o",
) -> None:
    """Draw one series: a line through neighbouring values, and marks in the lanes.

    Args:
        axes: The axes, to be dressed with the same lanes.
        x: Horizontal positions, shape (N,).
        values: The series, shape (N,).
        lanes: The vertical axis.
        color: Colour of line and marks.
        label: Name in the legend; without one the series is not in it.
        width: Width of the line in points.
        shift: Place of the marks within a lane, from -0.5 to 0.5, so that series do not cover one another.
        line: Whether neighbours are joined.
        marker: Mark of a single value.
    """
    y = positions(values, log=lanes.log)
    name = label or "_"
    if line:
        axes.plot(x, y, color=color, linewidth=width, label=name)
    seen = np.isfinite(y)
    alone = seen & ~np.append(seen[1:], False) & ~np.append(False, seen[:-1])
    dotted = seen if not line or len(x) <= 20 else alone
    axes.plot(x[dotted], y[dotted], marker, color=color, markersize=4, label="_" if line else name)
    if lanes.zeros:
        mark_lane(axes, x[zeros(values)], lanes.low + lanes.height * (shift - 0.5), marker="v", color=color)
    if lanes.odd:
        mark_lane(axes, x[odd(values)], lanes.high + lanes.height * (shift + 0.5), marker="x", color=color)


def label_ends(
    axes: Axes, ends: Sequence[tuple[float, str, str]], *, side: Literal["left", "right"] = "right", size: float = 8
) -> None:
    """Name lines at one end, the names one above the other where they would overlap.

    Args:
        axes: The axes, their limits and size set.
        ends: For each line its height at that end, its name and its colour.
        side: At which end.
        size: Of the letters, in points.
    """
    low, high = axes.get_ylim()
    room = 1.25 * size / 72 * (high - low) / (axes.bbox.height / axes.figure.dpi)
    ordered = sorted(ends, key=lambda end: end[0])
    heights = spread_apart([min(max(y, low), high) for y, _, _ in ordered], room, low=low, high=high)
    place, text, align = (axes.get_xlim()[1], 1.03, "left") if side == "right" else (axes.get_xlim()[0], -0.03, "right")
    for height, (y, name, color) in zip(heights, ordered, strict=True):
        axes.annotate(
            name, (place, min(max(y, low), high)), xytext=(text, (height - low) / (high - low)), va="center", ha=align,
            textcoords="axes fraction", size=size, color=color, parse_math=False, annotation_clip=False, arrowprops={
                "arrowstyle": "-", "color": color, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 0,
                "relpos": (float(side == "left"), 0.5),
            },
        )  # fmt: skip


def spread_apart(heights: Sequence[float], room: float, *, low: float, high: float) -> list[float]:
    """Return ascending heights moved as little as possible (least squares) to be ``room`` apart, within limits.

    Without room for all between the limits they are closer. Isotonic regression by pooling neighbours that are too
    close (Ayer et al. 1955).
    """
    count = len(heights)
    room = min(room, (high - low) / max(1, count - 1))
    pools: list[tuple[float, int]] = []  # mean of what is left when the room below is taken away, and size
    for place, height in enumerate(heights):
        mean, size = height - place * room, 1
        while pools and pools[-1][0] > mean:
            before, many = pools.pop()
            mean, size = (before * many + mean * size) / (many + size), many + size
        pools.append((mean, size))
    base = [mean for mean, size in pools for _ in range(size)]
    return [min(max(mean, low), high - (count - 1) * room) + place * room for place, mean in enumerate(base)]


def mark_lane(axes: Axes, x: NDArray[np.float64], y: float, *, marker: str, color: str) -> None:
    """Put marks at the given places of a lane."""
    axes.plot(x, np.full(len(x), y), marker, color=color, markersize=3.5, markeredgewidth=1, clip_on=False)


def _lane(axes: Axes, bottom: float, top: float) -> None:
    axes.axhspan(bottom, top, color=style.LANE, linewidth=0, zorder=0.5)


def _ticks(lanes: Lanes, *, most: int) -> list[tuple[float, str]]:
    """Return places and labels of round numbers in a data band: powers of ten on a logarithmic one."""
    if lanes.empty:
        return []
    if not lanes.log:
        places = MaxNLocator(most).tick_values(lanes.low, lanes.high)
        return [(float(place), f"{place:.6g}") for place in places if lanes.low <= place <= lanes.high]
    if lanes.high - lanes.low < _FEW_DECADES:
        exponents = range(int(np.floor(lanes.low)), int(np.ceil(lanes.high)) + 1)
        for digits in ((1, 2, 5), (1, 3), (1,)):  # as many as there is room for
            places = [
                (exponent + float(np.log10(digit)), digit, exponent) for exponent in exponents for digit in digits
            ]
            inside = [(y, f"{digit * 10.0**exponent:.0e}" if abs(exponent) > 4 else short(digit * 10.0**exponent))
                      for y, digit, exponent in places if lanes.low <= y <= lanes.high]  # fmt: skip
            if 2 <= len(inside) <= most + 2:
                return inside
    exponents = style.round_numbers(int(np.ceil(lanes.low)), int(np.floor(lanes.high)), most=most)
    return [(float(exponent), power_of_ten(exponent)) for exponent in exponents]
