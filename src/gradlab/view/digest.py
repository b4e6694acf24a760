"""A run in a few kilobytes: what a report draws when a reader opens it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, log10
from pathlib import Path
from typing import Any

import numpy as np

from gradlab.artifacts.read import (
    GRADIENTS,
    Layers,
    gradient_column,
    numbers,
    read_columns,
    read_layers,
    read_metrics,
    spread_out,
)  # fmt: skip
from gradlab.artifacts.record import read_run
from gradlab.view import neighbours, range_test, timesteps
from gradlab.view.flow import FORWARD, last_norm, observed
from gradlab.view.format import short
from gradlab.view.order import name_of, order_layers, shorten
from gradlab.view.theory import read_line
from gradlab.view.training import UPDATE

ZERO, ODD = "0", "!"  # what has no logarithm; null is "not measured"
_UPDATES = 8  # layers whose update ratio is shown
_CURVES = ("train_loss", "eval_loss", "eval_accuracy")


@dataclass(frozen=True)
class Detail:
    """How much of a run is kept.

    Attributes:
        lines: Lines in a chart of its layers.
        layers: Layers on a line.
        points: Points of a curve.
        everything: Whether to keep the update ratios, the range test and the neighbours' cosines too.
    """

    lines: int = 4
    layers: int = 64
    points: int = 60
    everything: bool = False


def detail(runs: int) -> Detail:
    """Return what fits into a page of a few megabytes with so many runs."""
    return Detail() if runs <= 500 else Detail(lines=2, layers=32, points=30)


def digest(run_dir: Path, *, detail: Detail) -> dict[str, Any]:
    """Return what was recorded of a run, thinned out, ready for JSON.

    Norms are log10 to two decimals, ``"0"`` where exactly zero, ``"!"`` where not finite, None where not measured.

    Args:
        run_dir: The run's folder.
        detail: How much to keep.

    Returns:
        ``layers``: depths, a line per step for ``forward`` and ``backward``, what is drawn ``of`` the gradient, and
        names of the layers of a user's own model; ``curves`` against the step and what ``chance`` gives; of recurrent
        nets ``times``; and if everything is kept ``updates``, ``rates`` and ``likeness``. What was not recorded is left
        out.

    Raises:
        ValueError: A table is broken.
    """
    kept: dict[str, Any] = {}
    if (run_dir / "gradients.csv").exists():
        kept |= _layers(run_dir, detail)
    if (run_dir / timesteps.FILE).exists():
        kept |= _times(run_dir, detail)
    kept |= _curves(run_dir, detail)
    return kept | (_more(run_dir, detail) if detail.everything else {})


def _curves(run_dir: Path, detail: Detail) -> dict[str, Any]:
    """Return the losses and the accuracy against the step, and what guessing would give."""
    metrics = read_metrics(run_dir, ("step", *_CURVES))
    curves = {}
    for name in _CURVES:
        there = np.flatnonzero(~np.ma.getmaskarray(metrics[name]))
        chosen = there[spread_out(len(there), detail.points)]
        if len(chosen) > 1:
            values = [_plain(value) for value in metrics[name].data[chosen].tolist()]
            curves[name] = [metrics["step"].data[chosen].astype(int).tolist(), values]
    if not curves:
        return {}
    chance = {name: value for name, value in ((read_run(run_dir) or {}).get("chance") or {}).items() if value}
    return {"curves": curves} | ({"chance": chance} if chance else {})


def _layers(run_dir: Path, detail: Detail) -> dict[str, Any]:
    layers = observed(read_layers(run_dir, (FORWARD, gradient_column(run_dir)), steps=detail.lines))
    if not layers.steps.size:
        return {}
    order = order_layers(layers)
    places = spread_out(layers.hidden, detail.layers)
    rows = [*order.rows[places].tolist(), *([layers.hidden] if layers.head else [])]
    lines: dict[str, Any] = {
        side: [[decades(value) for value in row] for row in layers.columns[column][:, rows].tolist()]
        for side, column in (("forward", FORWARD), ("backward", layers.gradient))
    }
    x = [*order.x[places].tolist(), *([float(layers.depths[-1])] if layers.head else [])]
    if order.named:
        lines |= {"labels": [name_of(layers, row) for row in rows], "breaks": order.breaks}
        lines["ticks"] = list(order.ticks.items())
    else:
        x = [int(place) for place in x]
        lines |= _theory(run_dir, layers, rows)
    return {
        "layers": {
            "steps": layers.steps.tolist(),
            "x": x,
            "head": layers.head,
            "of": GRADIENTS[layers.gradient],
            **lines,
        }
    }


def _more(run_dir: Path, detail: Detail) -> dict[str, Any]:
    """Return what only the page of a single run shows."""
    kept: dict[str, Any] = {}
    if (run_dir / "gradients.csv").exists():
        layers = read_layers(run_dir, (UPDATE,), steps=detail.points)
        values = layers.columns[UPDATE]
        measured = np.flatnonzero(values.count(axis=1))
        if measured.size > 1:
            chosen = order_layers(layers).rows[spread_out(layers.hidden, _UPDATES)].tolist()
            chosen += [layers.hidden] if layers.head else []
            names = ["head" if row == layers.hidden else shorten(name_of(layers, row), 30) for row in chosen]
            lines = [[decades(value) for value in values[measured, row].tolist()] for row in chosen]
            kept["updates"] = {"x": layers.steps[measured].tolist(), "names": names, "lines": lines}
    if (run_dir / "lr_range.csv").exists():
        table = read_metrics(run_dir, range_test.COLUMNS, name="lr_range.csv")
        test = range_test.read_found(run_dir) or {}
        named = (("take", "suggestion"), ("lowest", "lowest_at"), ("blew up", "blew_up_at"))
        kept["rates"] = {
            "x": [round(log10(rate), 4) for rate in table["lr"].tolist()],
            "each": [_plain(value) for value in table["train_loss"].filled(np.nan).tolist()],
            "smoothed": [_plain(value) for value in table["smoothed_loss"].filled(np.nan).tolist()],
            "marks": [[f"{name} {short(test[key])}", log10(test[key])] for name, key in named if test.get(key)],
        }
    if (run_dir / neighbours.FILE).exists():
        cosines = neighbours.read_neighbours(run_dir)
        lines = [
            [None if value is None else _plain(value) for value in line.tolist()] for line in cosines.cosines.values()
        ]
        if cosines.depths.size > 1:
            kept["likeness"] = {"x": cosines.depths.tolist(), "lags": list(cosines.cosines), "lines": lines}
    return kept


def _theory(run_dir: Path, layers: Layers, kept: Sequence[int]) -> dict[str, Any]:
    """Return the predicted line at the layers that are kept, None at the head; nothing where there is none."""
    line, last = read_line(run_dir, layers.gradient), last_norm(layers)
    if line is None or last is None:
        return {}
    heights = dict(zip(line.depths.tolist(), line.at(last).tolist(), strict=True))
    found = [heights.get(float(layers.depths[place])) for place in kept]
    return {"theory": [None if height is None else round(height, 2) for height in found]}


def _times(run_dir: Path, detail: Detail) -> dict[str, Any]:
    """Return the gradient per time step of the topmost recurrent layer."""
    names = ("step", "depth_index", "time", "hidden_grad_norm")
    columns = read_columns(run_dir / timesteps.FILE, names, steps=detail.lines)
    steps, depths, times = ([int(cell) for cell in columns[name]] for name in names[:3])
    norms = numbers(columns[names[3]]).tolist()
    top = max(depths, default=0)
    rows = {
        (step, time): norm for step, depth, time, norm in zip(steps, depths, times, norms, strict=True) if depth == top
    }
    stops, kept = sorted(set(steps)), sorted({time for _, time in rows})
    kept = [kept[place] for place in spread_out(len(kept), detail.layers)]
    lines = [[decades(rows.get((step, time))) for time in kept] for step in stops]
    return {"times": {"steps": stops, "x": kept, "head": False, "backward": lines}} if kept else {}


def decades(value: float | None) -> float | str | None:
    """Return log10 of a norm to two decimals, or the sign for a norm that has none."""
    if value is None:
        return None
    if not isfinite(value):
        return ODD
    return ZERO if value <= 0 else round(log10(value), 2)


def _plain(value: float) -> float | str:
    return float(f"{value:.4g}") if isfinite(value) else ODD
