"""All figures of one run, drawn from its files."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from gradlab.artifacts import read
from gradlab.artifacts.record import read_run
from gradlab.errors import GradlabError, closest, did_you_mean
from gradlab.view import flow, heatmap, neighbours, range_test, style, theory, timesteps, training, verdict

_METRICS = ("step", "train_loss", "eval_loss", "eval_accuracy", "lr")


def draw_run(run_dir: Path, *, caption: str) -> list[Path]:
    """Draw a run's figures into ``run_dir/figures``, each as PNG and SVG; the same files give the same bytes.

    A figure for which nothing was recorded is left out: update ratios where no update was made, for instance.

    Args:
        run_dir: A run's folder with ``gradients.csv`` and, if a loss was measured, ``metrics.csv``.
        caption: The configuration of the run, printed small below each figure.

    Returns:
        The files written.

    Raises:
        FileNotFoundError: There is no ``gradients.csv``.
        ValueError: A table lacks a column, or a row is broken.
    """
    folder = run_dir / "figures"
    folder.mkdir(exist_ok=True)
    drawings = _drawings(run_dir, caption=caption)
    with style.look():
        return [path for name, draw in drawings.items() for path in draw().save(folder, name)]


def figures_of(run_dir: Path) -> list[str]:
    """Return the names of the figures that a run's files allow, such as ``gradient_flow`` and ``loss``.

    Args:
        run_dir: A run's folder, as for `draw_run`.

    Raises:
        FileNotFoundError: There is no ``gradients.csv``.
        ValueError: A table lacks a column, or a row is broken.
    """
    return list(_drawings(run_dir, caption=""))


def figure_of(run_dir: Path, name: str, *, caption: str = "") -> Figure:
    """Return one figure of a run; no file is written.

    Args:
        run_dir: A run's folder, as for `draw_run`.
        name: One of `figures_of`.
        caption: The configuration of the run, printed small below the figure.

    Raises:
        GradlabError: The run has no figure of that name.
        FileNotFoundError: There is no ``gradients.csv``.
        ValueError: A table lacks a column, or a row is broken.
    """
    return one_of(_drawings(run_dir, caption=caption), name, owner=str(run_dir))


def one_of(drawings: Mapping[str, Callable[[], style.Sheet]], name: str, *, owner: str) -> Figure:
    """Return the figure of that name.

    Args:
        drawings: Functions that draw, by name of the figure.
        name: The name.
        owner: Whose figures they are, for the message.

    Raises:
        GradlabError: There is no such figure.
    """
    if name not in drawings:
        names = ", ".join(drawings) or "none"
        raise GradlabError(f"{owner}: no figure {name!r}{did_you_mean(closest(name, drawings))}: it has {names}")
    with style.look():
        figure = drawings[name]().figure
        figure.draw_without_rendering()  # matplotlib makes ticks when it draws them: they need the settings too
    return figure


def _drawings(run_dir: Path, *, caption: str) -> dict[str, Callable[[], style.Sheet]]:
    """Return a function for each figure that has something to show, in the order of a report."""
    drawings: dict[str, Callable[[], style.Sheet]] = {}
    if (run_dir / "lr_range.csv").exists():
        rates = read.read_metrics(run_dir, range_test.COLUMNS, name="lr_range.csv")
        found = range_test.read_found(run_dir) or {}
        drawings["lr_range"] = lambda: range_test.lr_range(rates, found, caption=caption)
        if not (run_dir / "metrics.csv").exists():  # a range test alone: nothing was trained
            return drawings
    record = read_run(run_dir) or {}
    depth, time = verdict.of_flow(record, over="depth"), verdict.of_flow(record, over="time")
    gradient = read.gradient_column(run_dir)
    layers = read.read_layers(run_dir, (flow.FORWARD, gradient, training.UPDATE))
    metrics = read.read_metrics(run_dir, _METRICS)
    # Over a single layer there is no way to follow: for a recurrent net of one layer, time is that way.
    if layers.steps.size and (layers.hidden > 1 or not (run_dir / timesteps.FILE).exists()):
        line = theory.read_line(run_dir, gradient)
        drawings["gradient_flow"] = lambda: flow.gradient_flow(layers, caption=caption, theory=line, verdict=depth)
        if layers.steps.size > 1:
            drawings["gradient_heatmap"] = lambda: heatmap.gradient_heatmap(layers, caption=caption, verdict=depth)
    if len(np.unique(metrics["step"].compressed())) > 1 and training.has_loss(metrics):
        chance = (record.get("chance") or {}).get("loss")
        words = verdict.of_columns(record, training.LOSSES)
        drawings["loss"] = lambda: training.loss(metrics, caption=caption, chance=chance, verdict=words)
    if layers.columns[training.UPDATE].count():
        updates = verdict.of_columns(record, (training.UPDATE,))
        drawings["update_ratio"] = lambda: training.update_ratio(layers, caption=caption, verdict=updates)
    if (run_dir / timesteps.FILE).exists():
        times = timesteps.read_times(run_dir)
        if times.steps.size:
            drawings["timestep_flow"] = lambda: timesteps.timestep_flow(times, caption=caption, verdict=time)
        if times.steps.size > 1:
            drawings["timestep_heatmap"] = lambda: timesteps.timestep_heatmap(times, caption=caption, verdict=time)
    if (run_dir / neighbours.FILE).exists():
        cosines = neighbours.read_neighbours(run_dir)
        if cosines.depths.size > 1:
            drawings["likeness"] = lambda: neighbours.likeness(cosines, caption=caption)
    return drawings
