import io

import pytest
from rich.console import Console

from gradlab.view.layer_table import layer_table


def columns(table):
    return [list(column.cells) for column in table.columns]


def test_few_layers_are_all_there(write_run):
    table = layer_table(write_run(hidden=2, gradient=lambda step, depth: 10.0 ** (depth - 4 - step), update=0.0012345))
    assert table.title == "Layers at step 20"
    assert columns(table) == [
        ["1", "2", "3"],
        ["layers.0", "layers.1", "head"],
        ["0.3", "0.3", "0.9"],
        ["1e-23", "1e-22", "1e-21"],
        ["0.1", "1", "10"],
        ["0.00123"] * 3,
    ]


@pytest.mark.parametrize("head", [True, False])
def test_many_layers_make_seven_rows(write_run, head):
    depths, names, *_ = columns(layer_table(write_run(hidden=300, head=head)))
    assert len(depths) == 7
    assert depths[0] == "1"
    assert "300" in depths
    assert (names[-1] == "head") is head


def test_unmeasured_cells_are_empty_and_zero_and_nan_are_said(write_run):
    cells = {1: 0.0, 2: "nan", 3: ""}
    table = columns(layer_table(write_run(hidden=3, gradient=lambda step, depth: cells.get(depth, 1.0), update="")))
    assert table[3] == ["0", "nan", "", "1"]
    assert table[5] == [""] * 4


@pytest.mark.parametrize("width", [80, 100])
def test_numbers_are_never_cut(write_run, width):
    """At 80 columns they were: `0.00…`; the layers' names break instead."""
    run = write_run(hidden=120, gradient=lambda step, depth: 1.2345e-105 * 1.1**depth, update=1.2345e-7)
    table = layer_table(run)
    names = [f"blocks.{index}.branch.parametrizations.affine" for index in range(table.row_count)]
    table.columns[1]._cells = names
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    text = console.file.getvalue()
    assert "…" not in text
    for column in (0, *range(2, 6)):
        for cell in table.columns[column].cells:
            assert f" {cell} " in text
    assert max(map(len, text.splitlines())) <= width


def test_an_empty_run_has_an_empty_table(write_run):
    table = layer_table(write_run(steps=()))
    assert (table.title, table.row_count) == ("No layers were recorded", 0)
