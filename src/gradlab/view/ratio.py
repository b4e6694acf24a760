"""How much gradient reaches the first layer, against depth: every run of a sweep in one figure."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from gradlab.diagnosis.flow import FLOAT32_SMALLEST  # below it digits are lost, then everything
from gradlab.view import lanes, style
from gradlab.view.format import short
from gradlab.view.sweeps import Sweep

_WHEN = {"gradient_ratio_initial": "step 0", "gradient_ratio_final": "last step"}
_PREFERRED = ("activation", "initializer")
_MOST = 16  # values of a key that colours or markers can show


def gradient_ratio(sweep: Sweep) -> style.Sheet:
    """Draw layer 1's gradient norm over the last hidden layer's against depth, at the first step and the last.

    Colour shows the activation and the marker the initializer, or the first two other keys that were swept. A line
    joins the medians of what has the same colour and marker.

    Args:
        sweep: A sweep over nets of several depths; see `can_draw`.
    """
    sheet = style.sheet(headline(sweep), caption=sweep.caption, height=4.4)
    table = sweep.table
    drawn = [column for column in _WHEN if table[column].notna().any() and (table["steps"] > 1).any()]
    drawn = drawn or ["gradient_ratio_initial"]
    everything = [np.ma.MaskedArray(table[column].to_numpy(dtype=float), mask=table[column].isna()) for column in drawn]
    shown = np.ma.concatenate(everything)
    low = np.nanmin(lanes.positions(shown), initial=0.0)
    # The rule at float32's end would press ordinary ratios flat: it is drawn where they come half way to it.
    rules = [1.0, FLOAT32_SMALLEST] if low < np.log10(FLOAT32_SMALLEST) / 2 else [1.0]
    scale = lanes.fit(shown, np.ma.MaskedArray(rules))
    kinds = groups(sweep)
    width = 6.35 / len(drawn) - (0.25 if len(drawn) > 1 else 0)
    for place, (column, values) in enumerate(zip(drawn, everything, strict=True)):
        axes = sheet.axes(
            0.95 + place * (width + 0.3), 0.75, width, 3.3, name="gradient of layer 1 / last hidden layer" * (not place)
        )
        for (color, marker), rows in kinds.items():
            _series(sheet, axes, table["hidden_layers"].to_numpy(dtype=float), values, rows, scale, (color, marker))
        _dress(axes, scale, table["hidden_layers"].dropna().to_numpy(dtype=float), rules)
        axes.set_title(f"gradient at {_WHEN[column]}")
        if place:
            axes.tick_params(labelleft=False)
    _legend(sheet.figure.axes[-1], sweep)
    return sheet


def can_draw(sweep: Sweep) -> bool:
    """Whether there is something to see: nets of more than one depth, and a ratio that was measured."""
    measured = sweep.table[list(_WHEN)].notna().any(axis=1)
    return sweep.table["hidden_layers"][measured].nunique() > 1


def headline(sweep: Sweep) -> str:
    """Say how far apart the ratios of the deepest nets lie."""
    ratios = sweep.table["gradient_ratio_initial"]
    deepest = sweep.table["hidden_layers"][ratios.notna()].max()
    found = ratios[(sweep.table["hidden_layers"] == deepest) & np.isfinite(ratios)]
    if not found.size:
        return "Gradient ratio against depth"
    low, high = short(found.min(), digits=2), short(found.max(), digits=2)
    span = f"{low}" if low == high else f"between {low} and {high}"
    return f"Through {deepest:.0f} layers, layer 1 receives {span} of the last hidden layer's gradient at step 0"


def groups(sweep: Sweep) -> dict[tuple[str, str], NDArray[np.int64]]:
    """Return the rows of the runs that look alike, by colour and marker."""
    table, looks = sweep.table, _looks(sweep)
    found: dict[tuple[str, str], list[int]] = {}
    for row in range(len(table)):
        look = tuple(values[table[key].iloc[row]] if key else values[""] for key, values in looks)
        found.setdefault((look[0], look[1]), []).append(row)
    return {look: np.array(rows) for look, rows in found.items()}


def _looks(sweep: Sweep) -> list[tuple[str, dict[str, str]]]:
    """Return, for colour and marker, the key that it shows ("" for none) and the look of each value."""
    candidates = [key for key in sweep.swept if key != "model.depth" and sweep.table[key].nunique() <= _MOST]
    chosen = sorted(candidates, key=lambda key: _PREFERRED.index(key) if key in _PREFERRED else len(_PREFERRED))
    if chosen[:1] == ["initializer"] and len(chosen) == 1:
        chosen = ["", "initializer"]
    found = []
    for key, looks in zip([*chosen, "", ""], (style.DISTINCT, style.MARKERS), strict=False):
        values = _by_rank(sweep, key) if key else [""]
        found.append((key, {value: looks[place % len(looks)] for place, value in enumerate(values)}))
    return found


def _by_rank(sweep: Sweep, key: str) -> list[str]:
    """Return the values of a key, that of the best config first: so the figures of a sweep agree in their colours."""
    return list(dict.fromkeys(sweep.table[key].iloc[rows[0]] for _, rows in sweep.ranked(sweep.metrics[0])))


def _series(
    sheet: style.Sheet,
    axes: Axes,
    depths: NDArray[np.float64],
    values: np.ma.MaskedArray,
    rows: NDArray[np.int64],
    scale: lanes.Lanes,
    look: tuple[str, str],
) -> None:
    """Draw the runs of one look, and a line through their medians."""
    color, marker = look
    lanes.draw(axes, depths[rows], values[rows], scale, color=color, line=False, marker=marker)
    heights = lanes.positions(values[rows])
    stops = np.unique(depths[rows][np.isfinite(heights)])
    medians = [np.nanmedian(heights[depths[rows] == stop]) for stop in stops]
    axes.plot(stops, medians, color=color, linewidth=1, alpha=0.7)
    places = zip(depths[rows].tolist(), heights.tolist(), rows.tolist(), strict=True)
    sheet.marks.extend(style.Mark(axes, depth, height, row) for depth, height, row in places)


def _dress(axes: Axes, scale: lanes.Lanes, depths: NDArray[np.float64], rules: Sequence[float]) -> None:
    lanes.dress(axes, scale)
    for rule, name in zip(rules, ("", "float32's smallest normal"), strict=False):
        axes.axhline(np.log10(rule), color=style.QUIET, linewidth=1.2, linestyle=style.DASHES, zorder=1)
        axes.annotate(name, (0.02, np.log10(rule)), xycoords=("axes fraction", "data"), xytext=(0, 3),
                      textcoords="offset points", size=7.5)  # fmt: skip
    stops = np.unique(depths)
    room = 0.04 * (stops[-1] - stops[0])
    if 0 < 30 * stops[0] < stops[-1]:
        axes.set_xscale("log")
        axes.set_xlim(stops[0] / 1.2, stops[-1] * 1.2)
        axes.minorticks_off()
    else:
        axes.set_xlim(stops[0] - room, stops[-1] + room)
    few = stops if len(stops) <= 7 else style.integer_ticks(int(stops[0]), int(stops[-1]))
    axes.set_xticks(few, [f"{stop:.0f}" for stop in few])
    axes.set_xlabel("hidden layers")


def _legend(axes: Axes, sweep: Sweep) -> None:
    """Name the colours and the markers, each under its key."""
    handles = []
    for number, (key, looks) in enumerate(_looks(sweep)):
        if not key:
            continue
        handles.append(Line2D([], [], linewidth=0, label=f"{key.split('.')[-1]}:"))
        for value, look in looks.items():
            color, marker = (look, "o") if number == 0 else (style.TEXT, look)
            handles.append(Line2D([], [], color=color, marker=marker, linewidth=0, markersize=5, label=value[:18]))
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.03), handlelength=1, fontsize=8)
