"""Readers of a run's CSV tables, as masked arrays.

Empty cells (not measured at this step) are masked. ``nan`` and ``inf`` (measured, and not finite) are values.
"""

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradlab.artifacts.record import FILE, read_run

Metrics = Mapping[str, np.ma.MaskedArray]
Cells = dict[str, Any]
_WORDS, _WHOLE_NUMBERS = {"layer", "role"}, {"step", "depth_index", "time", "lag"}
_WHOLE_NUMBER = re.compile(r"-?\d{1,15}", re.ASCII)  # exact as a float too


DZ, DH = "preactivation_grad_norm", "activation_grad_norm"
GRADIENTS = {DZ: "dL/dz", DH: "dL/dh"}  # what these columns hold the norm of


@dataclass(frozen=True)
class Layers:
    """Columns of ``gradients.csv`` for the layers of the main path, as matrices of S steps by L layers.

    Attributes:
        steps: Recorded steps in ascending order, shape (S,).
        depths: ``depth_index`` of each layer in ascending order, shape (L,).
        names: Qualified module name of each layer, length L.
        head: Whether the last layer is the network's head rather than a hidden layer.
        columns: Column name to matrix of shape (S, L), masked where nothing was measured.
    """

    steps: NDArray[np.int64]
    depths: NDArray[np.int64]
    names: Sequence[str]
    head: bool
    columns: dict[str, np.ma.MaskedArray]

    @property
    def gradient(self) -> str:
        """The column of `gradient_column`, whichever of the two was read."""
        return DH if DH in self.columns else DZ

    @property
    def hidden(self) -> int:
        """Number of hidden layers, which come before the head."""
        return len(self.names) - self.head


def read_columns(path: Path, columns: Sequence[str], *, steps: int | None = None) -> dict[str, Sequence[str]]:
    """Return the named columns of a CSV file as text.

    Args:
        path: The file; its first line names the columns.
        columns: Names of the columns to read; only these are kept in memory.
        steps: Read at most this many steps, evenly spread and with both ends, which is a hundred times as fast as
            reading all. The table's first column must be the step. None reads every row.

    Raises:
        ValueError: A column is missing, a row and the header differ in their number of cells, or a step, depth or time
            is not a whole number.
    """
    with path.open(newline="", encoding="utf-8") as file, _naming(path):
        lines = _whole_lines(file, path)
        reader = csv.reader(lines if steps is None else _thin_out(list(lines), steps))
        header = next(reader, [])
        if missing := [name for name in columns if name not in header]:
            raise ValueError(f"{path}: no column {missing[0]!r}; it has {', '.join(header) or 'no header'}")
        places = [header.index(name) for name in columns]
        rows = []
        for row in reader:
            if len(row) != len(header):
                place = f"line {reader.line_num}" if steps is None else f"step {row[0] if row else ''}"
                raise ValueError(f"{path}, {place}: {len(row)} cells instead of {len(header)}")
            rows.append([row[place] for place in places])
        empty: list[Sequence[str]] = [()] * len(columns)
        cells = dict(zip(columns, zip(*rows, strict=True) if rows else empty, strict=True))
        for name in _WHOLE_NUMBERS & cells.keys():
            for text in set(cells[name]):
                _whole(name, text)
    return cells


def check_table(path: Path) -> None:
    """Check that every row of a table has as many cells as its header and a line end, without keeping any.

    Raises:
        ValueError: A row has another number of cells or no end, or the file is not text.
    """
    with path.open(newline="", encoding="utf-8") as file, _naming(path):
        reader = csv.reader(_whole_lines(file, path))
        width = len(next(reader, []))
        for row in reader:
            if len(row) != width:
                raise ValueError(f"{path}, line {reader.line_num}: {len(row)} cells instead of {width}")
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if file.read() not in (b"\n", b"\r"):
            raise ValueError(f"{path}: its last line has no end")


def _whole_lines(file: Iterable[str], path: Path) -> Iterator[str]:
    """Yield the lines of a table; a last line without its end is left out if the run has no run.json.

    Such a run was killed while it wrote the row, or is writing it.
    """
    finished = (path.parent / FILE).exists()
    for line in file:
        if finished or line.endswith(("\n", "\r")):
            yield line


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Raise an error of the block that has no file's name as a ValueError with it."""
    try:
        yield
    except (csv.Error, ValueError, OverflowError) as error:
        raise error if str(error).startswith(str(path)) else ValueError(f"{path}: {error}") from error


def _whole(name: str, text: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(text):
        raise ValueError(f"{name} must be a whole number, got {text[:40]!r}")
    return int(text)


def _thin_out(lines: Sequence[str], most: int) -> list[str]:
    """Return the header and the lines of at most ``most`` steps."""
    steps = [line.partition(",")[0] for line in lines]
    names = list(dict.fromkeys(steps[1:]))
    kept = {names[place] for place in spread_out(len(names), most)}
    return [*lines[:1], *(line for line, step in zip(lines[1:], steps[1:], strict=True) if step in kept)]


def read_first_and_last(path: Path) -> tuple[list[Cells], list[Cells]]:
    """Return the rows of the first and of the last recorded step; both lists are empty if there is no row or no file.

    Args:
        path: A table whose first column is the step.

    Returns:
        Each row as column name to cell: a string, an integer, a float, or None for an empty cell.

    Raises:
        ValueError: A row and the header differ in their number of cells, or a cell is not a number.
    """
    if not path.exists():
        return [], []
    with path.open(newline="", encoding="utf-8") as file, _naming(path):
        header, *lines = list(_whole_lines(file, path)) or [""]
    if not lines:
        return [], []
    first = takewhile(lambda line: _same_step(line, lines[0]), lines)
    last = takewhile(lambda line: _same_step(line, lines[-1]), reversed(lines))
    with _naming(path):
        names = next(csv.reader([header]), [])
        return _cells(path, names, list(first)), _cells(path, names, list(last)[::-1])


def _same_step(line: str, other: str) -> bool:
    return line.partition(",")[0] == other.partition(",")[0]


def _cells(path: Path, names: Sequence[str], lines: Sequence[str]) -> list[Cells]:
    rows = list(csv.reader(lines))
    broken = next((row for row in rows if len(row) != len(names)), None)
    if broken is not None:
        raise ValueError(f"{path}, step {broken[0] if broken else ''}: {len(broken)} cells instead of {len(names)}")
    return [{name: _cell(name, text) for name, text in zip(names, row, strict=True)} for row in rows]


def _cell(name: str, text: str) -> Any:
    if name in _WHOLE_NUMBERS:
        return _whole(name, text)
    return text or None if name in _WORDS or not text else float(text)


def numbers(cells: Sequence[str]) -> np.ma.MaskedArray:
    """Return cells as a float64 array, masked where the cell is empty."""
    values = np.array([float(cell) if cell else np.nan for cell in cells], dtype=np.float64)
    return np.ma.MaskedArray(values, mask=[not cell for cell in cells])


def read_metrics(run_dir: Path, columns: Sequence[str], *, name: str = "metrics.csv") -> dict[str, np.ma.MaskedArray]:
    """Return columns of a table with one row per step, each of shape (S,), masked where nothing was measured.

    Args:
        run_dir: The run's folder; S is 0 if the table is not in it.
        columns: Names of the columns to read.
        name: File name of the table.

    Raises:
        ValueError: The table is broken.
    """
    if not (run_dir / name).exists():
        return {column: numbers(()) for column in columns}
    with _naming(run_dir / name):
        return {column: numbers(cells) for column, cells in read_columns(run_dir / name, columns).items()}


def gradient_column(run_dir: Path) -> str:
    """Return the column of the gradient that reaches a layer: dL/dz, or dL/dh in a net whose skips bypass z.

    A branch whose weights start at zero passes no gradient, but its skip does, which only dL/dh includes.

    Args:
        run_dir: The run's folder.

    Raises:
        OSError: There is no ``gradients.csv``.
    """
    with (run_dir / "gradients.csv").open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if not {"role", "skip_grad_norm"} <= {*header}:
            return DZ
        role, skip, first = header.index("role"), header.index("skip_grad_norm"), next(rows, [])
        step = takewhile(lambda row: row[:1] == first[:1], chain([first], rows))
        skips = any(len(row) == len(header) and row[role] == "main" and row[skip] for row in step)
    return DH if skips else DZ


def read_layers(run_dir: Path, columns: Sequence[str], *, steps: int | None = None) -> Layers:
    """Return columns of a run's ``gradients.csv`` for the main path.

    Rows of another role (gates, shortcut projections, auxiliary heads) are left out.

    Args:
        run_dir: The run's folder.
        columns: Names of the measured columns to read.
        steps: How many steps to read, evenly spread; all by default.

    Raises:
        OSError: The table cannot be read.
        ValueError: The table is broken.
    """
    cells = read_columns(run_dir / "gradients.csv", ["step", "depth_index", "layer", "role", *columns], steps=steps)
    rows = [row for row, role in enumerate(cells["role"]) if role == "main"]
    row_steps = np.array([int(cells["step"][row]) for row in rows], dtype=np.int64)
    row_layers = [cells["layer"][row] for row in rows]
    unique_steps, step_of_row = np.unique(row_steps, return_inverse=True)
    # The last depth_index of a layer counts: the head's rises each time the network grows.
    last_depth = dict(zip(row_layers, (int(cells["depth_index"][row]) for row in rows), strict=True))
    layers = sorted((depth, name) for name, depth in last_depth.items())
    place = {name: number for number, (_, name) in enumerate(layers)}
    layer_of_row = np.array([place[name] for name in row_layers], dtype=np.int64)

    matrices = {}
    for name in columns:
        with _naming(run_dir / "gradients.csv"):
            column = numbers([cells[name][row] for row in rows])
        matrix = np.ma.masked_all((len(unique_steps), len(layers)))
        matrix[step_of_row, layer_of_row] = column
        matrices[name] = matrix
    return Layers(
        steps=unique_steps,
        depths=np.array([depth for depth, _ in layers], dtype=np.int64),
        names=[name for _, name in layers],
        head=bool(layers) and _has_head(run_dir, layers[-1][0]),
        columns=matrices,
    )


def _has_head(run_dir: Path, deepest: int) -> bool:
    """Whether the deepest recorded layer is the head, which ``probe.layers`` can exclude.

    Without the number of hidden layers in run.json, the deepest layer is taken to be the head.
    """
    hidden = (read_run(run_dir) or {}).get("hidden_layers")
    return hidden is None or deepest > hidden


def spread_out(count: int, most: int) -> list[int]:
    """Return at most ``most`` evenly spread indices of ``range(count)``, including the first and the last."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))})
