"""The short table of layers that a run prints at its end."""

from pathlib import Path

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from gradlab.artifacts.read import DZ, GRADIENTS, Layers, gradient_column, read_layers, spread_out
from gradlab.borders import visible_line
from gradlab.view.format import quotient, short

_ROWS = 7
_FORWARD, _UPDATE = "activation_std", "update_ratio"


def layer_table(run_dir: Path) -> Table:
    """Return a table of a few layers at the last recorded step: the first, some between, the last hidden, the head.

    Numbers have three significant digits; a cell that was not measured is empty.

    Args:
        run_dir: A run's folder with ``gradients.csv``.

    Raises:
        FileNotFoundError: There is no such table.
        ValueError: It lacks a column, or a row is broken.
    """
    layers = read_layers(run_dir, (_FORWARD, gradient_column(run_dir), _UPDATE))
    step = f"Layers at step {layers.steps[-1]}" if layers.steps.size else "No layers were recorded"
    table = Table(title=step, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("depth", justify="right")
    table.add_column("layer", overflow="fold")  # the only column that may break, so that no number is cut
    whole = f"/ layer\n{layers.depths[layers.hidden - 1]}" if layers.hidden else "/ last\nhidden"
    norm = "gradient\nnorm" if layers.gradient == DZ else f"{GRADIENTS[layers.gradient]}\nnorm"
    for name in ("activation\nstd", norm, whole, "update\nratio"):
        table.add_column(name, justify="right", no_wrap=True)
    if layers.steps.size:
        for layer in _chosen(layers):
            table.add_row(*_row(layers, layer))
    return table


def _chosen(layers: Layers) -> list[int]:
    """Return which layers the table shows."""
    hidden = spread_out(layers.hidden, _ROWS - layers.head)
    return [*hidden, *([layers.hidden] if layers.head else [])]


def _row(layers: Layers, layer: int) -> list[str]:
    """Return one layer's cells."""
    spread, gradient, update = (_last(layers, column, layer) for column in (_FORWARD, layers.gradient, _UPDATE))
    whole = _last(layers, layers.gradient, layers.hidden - 1) if layers.hidden else None
    share = "" if gradient is None or whole is None else quotient(gradient, whole)
    numbers = ["" if value is None else short(value) for value in (spread, gradient)]
    return [
        str(layers.depths[layer]),
        escape(visible_line(layers.names[layer])),  # a name is never markup
        *numbers,
        share,
        "" if update is None else short(update),
    ]


def _last(layers: Layers, column: str, layer: int) -> float | None:
    """Return a cell of the last recorded step, None where it was not measured."""
    cell = layers.columns[column][-1, layer]
    return None if cell is np.ma.masked else float(cell)
