"""How alike neighbours' gradients are, drawn of one run and of a sweep."""

import csv
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gradlab.view import neighbours, style
from gradlab.view.figures import draw_run
from gradlab.view.sweeps import Sweep


def write_neighbours(folder, *, steps=(0, 10), depths=(1, 2, 3), lags=(1, 8), cosine=lambda depth, lag: 0.5**depth):
    with (folder / "neighbours.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "depth_index", "layer", "lag", "grad_cosine"])
        for step in steps:
            writer.writerows(
                [step, depth, "l", lag, cosine(depth, lag) if step == 0 else 9] for depth in depths for lag in lags
            )
    return folder


def test_the_first_step_is_read_by_distance(tmp_path):
    found = neighbours.read_neighbours(write_neighbours(tmp_path, lags=(8, 1), cosine=lambda depth, lag: depth / lag))
    assert list(found.cosines) == [1, 8]
    assert found.depths.tolist() == [1, 2, 3]
    np.testing.assert_allclose(found.cosines[8], [1 / 8, 2 / 8, 3 / 8])


@pytest.mark.parametrize(
    "shape", [{}, {"depths": (4,)}, {"lags": (2,)}, {"depths": range(1, 90)}, {"cosine": lambda depth, lag: "nan"}]
)
def test_every_shape_is_drawn(tmp_path, shape):
    found = neighbours.read_neighbours(write_neighbours(tmp_path, **shape))
    with style.look():
        (axes,) = neighbours.likeness(found, caption="c").figure.axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [str(lag) for lag in shape.get("lags", (1, 8))]


def test_it_is_among_a_runs_figures(write_run):
    folder = write_neighbours(write_run(steps=(0, 10)))
    assert {"likeness.png", "likeness.svg"} <= {path.name for path in draw_run(folder, caption="c")}


def test_a_sweep_shows_it_against_depth(tmp_path):
    """Two depths and two residuals; the run of the third depth recorded nothing of the kind."""
    folders, rows = [], []
    for depth, residual in ((2, "none"), (2, "identity"), (8, "none"), (8, "identity"), (4, "none")):
        folder = tmp_path / f"{depth}{residual}"
        folder.mkdir()
        folders.append(folder)
        rows.append({"run": folder.name, "residual": residual, "model.depth": str(depth), "hidden_layers": depth})
        if depth != 4:
            write_neighbours(folder, cosine=lambda layer, lag, x=depth / 10: x)
    sweep = Sweep(name="s", table=pd.DataFrame(rows), keys=["residual", "model.depth"], folders=folders)
    with style.look():
        sheet = neighbours.likeness_by_depth(sweep)
    assert neighbours.can_draw(sweep)
    assert not neighbours.can_draw(replace(sweep, folders=[tmp_path] * 5))
    assert sorted((x, y, row) for _, x, y, row, _ in sheet.marks) == [
        (2, 0.2, 0),
        (2, 0.2, 1),
        (8, 0.8, 2),
        (8, 0.8, 3),
    ]
    assert sheet.figure.texts[0].get_text().endswith("have a cosine of 0.8")


def test_an_empty_table_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no row"):
        neighbours.read_neighbours(write_neighbours(tmp_path, steps=()))
