"""A run in a few kilobytes: what a report draws when a reader opens it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, log10
from pathlib import Path
from typing import Any

import numpy as np

from gradlab.artifacts.read import Layers, numbers, read_columns, read_layers, read_metrics, spread_out
from gradlab.view.flow import BACKWARD, FORWARD, last_norm
from gradlab.view.theory import read_line

ZERO, ODD = "0", "!"  # what has no logarithm; null is "not measured"
_CURVES = ("train_loss", "eval_loss", "eval_accuracy")


@dataclass(frozen=True)
class Detail:
    """How much of a run is kept: lines in a figure of its layers, layers on a line, and points of its curves."""

    lines: int = 4
    layers: int = 64
    points: int = 60


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
        ``layers``: depths, and a line per step for ``forward`` and ``backward``; ``curves`` against the step; and of
        recurrent nets ``times``. What was not recorded is left out.

    Raises:
        ValueError: A table is broken.
    """
    found: dict[str, Any] = {}
    if (run_dir / "gradients.csv").exists():
        found |= _layers(run_dir, detail)
    if (run_dir / "timesteps.csv").exists():
        found |= _times(run_dir, detail)
    metrics = read_metrics(run_dir, ("step", *_CURVES))
    curves = {}
    for name in _CURVES:
        there = np.flatnonzero(~np.ma.getmaskarray(metrics[name]))
        kept = there[spread_out(len(there), detail.points)]
        if len(kept) > 1:
            values = [_plain(value) for value in metrics[name].data[kept].tolist()]
            curves[name] = [metrics["step"].data[kept].astype(int).tolist(), values]
    return found | ({"curves": curves} if curves else {})


def _layers(run_dir: Path, detail: Detail) -> dict[str, Any]:
    layers = read_layers(run_dir, (FORWARD, BACKWARD), steps=detail.lines)
    if not layers.steps.size:
        return {}
    kept = [*spread_out(layers.hidden, detail.layers), *([layers.hidden] if layers.head else [])]
    lines = {
        side: [[decades(value) for value in row] for row in layers.columns[column][:, kept].tolist()]
        for side, column in (("forward", FORWARD), ("backward", BACKWARD))
    }
    lines |= _theory(run_dir, layers, kept)
    return {"layers": {"steps": layers.steps.tolist(), "x": layers.depths[kept].tolist(), "head": layers.head, **lines}}


def _theory(run_dir: Path, layers: Layers, kept: Sequence[int]) -> dict[str, Any]:
    """Return the predicted line at the layers that are kept, None at the head; nothing where there is none."""
    line, last = read_line(run_dir, BACKWARD), last_norm(layers)
    if line is None or last is None:
        return {}
    heights = dict(zip(line.depths.tolist(), line.at(last).tolist(), strict=True))
    found = [heights.get(float(layers.depths[place])) for place in kept]
    return {"theory": [None if height is None else round(height, 2) for height in found]}


def _times(run_dir: Path, detail: Detail) -> dict[str, Any]:
    """Return the gradient per time step of the topmost recurrent layer."""
    names = ("step", "depth_index", "time", "hidden_grad_norm")
    columns = read_columns(run_dir / "timesteps.csv", names, steps=detail.lines)
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
