"""A table equals the rows written to it, also after it was truncated and resumed."""

import csv
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlab.artifacts.read import numbers, read_columns
from gradlab.artifacts.tables import Table, Tables
from gradlab.errors import GradlabError

# Names with commas, quotes, spaces and every alphabet; a line break is no part of a name.
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=12)
FLOATS = st.none() | st.floats() | st.sampled_from([5e-324, -0.0, 1.7976931348623157e308, math.nan, math.inf])
ROWS = st.lists(st.tuples(st.integers(0, 10**9), NAMES, FLOATS, FLOATS), max_size=8)
HEADERS = st.lists(NAMES, min_size=4, max_size=4, unique=True)


def write(path, columns, rows, **more):
    table = Table(path, columns, **more)
    table.write(rows)
    size = table.sync()
    table.close()
    return size


@given(HEADERS, ROWS)
def test_what_was_written_is_read(columns, rows):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write(path, columns, rows)
        cells = read_columns(path, columns)
    steps, names, *figures = ([row[place] for row in rows] for place in range(4))
    assert list(cells[columns[0]]) == [str(step) for step in steps]
    assert list(cells[columns[1]]) == names
    for column, written in zip(columns[2:], figures, strict=True):
        found = numbers(cells[column])
        assert list(np.ma.getmaskarray(found)) == [value is None for value in written]
        for value, again in zip(written, found.data, strict=True):
            expected = math.nan if value is None else value
            # the very bits: -0.0 is not 0.0, and no digit of a denormal is lost
            assert np.float64(again).tobytes() == np.float64(expected).tobytes() or (again != again != expected)


@given(HEADERS, ROWS)
def test_a_cell_is_the_shortest_text_that_reads_as_the_same_number(columns, rows):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write(path, columns, rows)
        with path.open(newline="", encoding="utf-8") as file:
            found = list(csv.reader(file))[1:]
    expected = [[str(step), name, *("" if x is None else repr(x) for x in rest)] for step, name, *rest in rows]
    assert found == expected


@given(HEADERS, ROWS, ROWS, ROWS)
def test_a_resumed_table_loses_what_came_after_the_cut_and_nothing_else(columns, kept, lost, later):
    with TemporaryDirectory() as folder:
        whole, cut = Path(folder) / "whole.csv", Path(folder) / "cut.csv"
        write(whole, columns, [*kept, *later])
        size = write(cut, columns, kept)
        write(cut, (), lost, keep=size)
        assert write(cut, (), later, keep=size) == whole.stat().st_size
        assert cut.read_bytes() == whole.read_bytes()


@given(HEADERS, ROWS, st.integers(1, 10**6))
def test_a_table_shorter_than_it_was_is_refused(columns, rows, missing):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        size = write(path, columns, rows)
        before = path.read_bytes()
        with pytest.raises(GradlabError, match="lacks rows"):
            Tables(path.parent, {path.name: size + missing})
        assert path.read_bytes() == before


@given(HEADERS, ROWS.filter(bool), st.integers(1, 5))
def test_a_thinned_table_has_whole_steps_of_the_whole_table(columns, rows, most):
    rows = sorted(rows, key=lambda row: row[0])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write(path, columns, rows)
        cells = read_columns(path, columns[:2], steps=most)
    steps = list(dict.fromkeys(row[0] for row in rows))
    found = [int(step) for step in dict.fromkeys(cells[columns[0]])]
    assert len(found) == min(most, len(steps))
    assert found[0] == steps[0]
    assert most == 1 or found[-1] == steps[-1]
    assert list(zip(*cells.values(), strict=True)) == [(str(row[0]), row[1]) for row in rows if row[0] in found]
