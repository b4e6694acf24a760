"""A learning-rate range test: the loss against the rate, and the rate to take."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from gradlab.artifacts import read
from gradlab.artifacts.record import RangeRecord, read_run
from gradlab.view import lanes, style
from gradlab.view.format import power_of_ten, short

COLUMNS = ("lr", "train_loss", "smoothed_loss")


def read_found(run_dir: Path) -> RangeRecord | None:
    """Return the result of the range test in run.json; None where there is none."""
    return (read_run(run_dir) or {}).get("lr_range")


def lr_range(table: read.Metrics, found: Mapping[str, Any], *, caption: str) -> style.Sheet:
    """Draw each step's loss and the smoothed loss against the learning rate, and mark the suggestion.

    Args:
        table: ``lr``, ``train_loss`` and ``smoothed_loss``, each of shape (S,), S > 0.
        found: ``suggestion``, ``lowest_at`` and ``blew_up_at``, each a learning rate or None; a missing one is None.
        caption: The configuration that was run.
    """
    sheet = style.sheet(headline(found), caption=caption, height=3.95)
    axes = sheet.axes(0.95, 0.55, 6.8, 3.05, name="mean loss of the batch")
    rates = np.log10(table["lr"].filled(np.nan))
    scale = lanes.fit(table["train_loss"], log=lanes.in_decades(table["train_loss"]))
    lanes.draw(axes, rates, table["train_loss"], scale, color=style.QUIET, label="each step", width=0.6)
    lanes.draw(axes, rates, table["smoothed_loss"], scale, color=style.TEXT, label="smoothed", width=2)
    marks = (
        ("suggestion", f"take {found.get('suggestion')}", style.GREEN, "-"),
        ("lowest_at", "lowest", style.QUIET, ":"),
        ("blew_up_at", "blew up", style.QUIET, ":"),
    )
    lanes.dress(axes, scale)
    for name, label, color, dashes in marks:
        if found.get(name) is not None:
            _mark(axes, found[name], label, color=color, dashes=dashes)
    _rate_axis(axes, rates)
    style.note_colours(axes, "loss")
    return sheet


def headline(found: Mapping[str, Any]) -> str:
    """Say which learning rate the range test suggests, and why."""
    if found.get("suggestion") is None:
        return "Range test: the loss fell at no learning rate"
    why = f"lowest loss at {short(found['lowest_at'], digits=2)}"
    why += f", blow-up by {short(found['blew_up_at'], digits=2)}" if found.get("blew_up_at") is not None else ""
    return f"Range test: take optimizer.lr={found['suggestion']}; {why}"


def _mark(axes: Axes, rate: float, label: str, *, color: str, dashes: str) -> None:
    axes.axvline(np.log10(rate), color=color, linestyle=dashes, linewidth=1.4)
    axes.annotate(
        label, (np.log10(rate), 1), xycoords=("data", "axes fraction"), xytext=(-3, -4), textcoords="offset points",
        rotation=90, ha="right", va="top", size=8.5, color=color,
        bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5},
    )  # fmt: skip


def _rate_axis(axes: Axes, rates: NDArray[np.float64]) -> None:
    """Label a horizontal axis of log10 learning rates with powers of ten, or if it spans less than two, with rates."""
    first, last = float(rates[0]), float(rates[-1])
    room = 0.02 * (last - first) or 0.5
    axes.set_xlim(first - room, last + room)
    places = range(int(np.ceil(first)), int(np.floor(last)) + 1)
    if len(places) > 1:
        axes.set_xticks(list(places), [power_of_ten(place) for place in places])
    else:
        few = np.linspace(first, last, 4)
        axes.set_xticks(few, [short(10**place, digits=2) for place in few])
    axes.set_xlabel("learning rate")
