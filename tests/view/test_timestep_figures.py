import csv

import numpy as np
import pytest

from gradlab.view import timesteps
from gradlab.view.figures import draw_run, figure_of, figures_of


def write_times(folder, *, steps=(0, 10), depths=(1,), length=20, cell=False, grad=lambda step, time: 0.5 ** (-time)):
    columns = ["step", "depth_index", "layer", "time", "hidden_norm", "hidden_grad_norm"]
    columns += ["cell_norm", "cell_grad_norm"] * cell
    with (folder / "timesteps.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for step in steps:
            for depth in depths:
                for time in range(length):
                    value = grad(step, time)
                    row = [step, depth, f"layer{depth}", time, 1.0, value]
                    writer.writerow(row + [2.0, value if value == 0 else 1.0 + time] * cell)
    return folder


@pytest.mark.parametrize(
    "shape",
    [
        {}, {"cell": True}, {"depths": (1, 2, 3)}, {"depths": (1, 2, 3), "cell": True},
        {"length": 1}, {"steps": range(0, 700, 5), "length": 64}, {"grad": lambda step, time: 0.0},
        {"grad": lambda step, time: "nan"}, {"grad": lambda step, time: 1e-300 if time else "inf"},
    ],
)  # fmt: skip
def test_every_shape_of_time_is_drawn(write_run, shape):
    folder = write_times(write_run(steps=(0, 10)), **shape)
    names = {path.name for path in draw_run(folder, caption="c")}
    assert {"timestep_flow.png", "timestep_flow.svg", "timestep_heatmap.png", "timestep_heatmap.svg"} <= names


def test_one_recorded_step_makes_lines_but_no_map(write_run):
    drawn = figures_of(write_times(write_run(steps=(0, 10)), steps=(7,)))
    assert "timestep_flow" in drawn
    assert "timestep_heatmap" not in drawn


def test_the_flow_has_five_lines_at_most(write_run):
    folder = write_times(write_run(steps=(0, 10)), steps=range(0, 700, 5), length=64)
    (axes,) = figure_of(folder, "timestep_flow").axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0", "175", "350", "520", "695"]


def test_the_state_that_remembers_is_the_first_layers_cell(tmp_path):
    times = timesteps.read_times(write_times(tmp_path, depths=(1, 2), cell=True))
    assert times.remembering == (1, "cell_grad_norm")
    np.testing.assert_array_equal(times.grads[1, "cell_grad_norm"], [1.0 + np.arange(20)] * 2)
    assert timesteps.read_times(write_times(tmp_path, depths=(1, 2))).remembering == (1, "hidden_grad_norm")


@pytest.mark.parametrize(
    ("grad", "said"),
    [
        (lambda s, t: 10.0 ** (t - 19), "is 1e-19 of t = 19's at step 0, 1e-19 at step 10"),
        (lambda s, t: 0.0 if s else 1.0, "is 1 at step 0, exactly 0 at step 10"),
    ],
)
def test_the_headline_says_the_point(tmp_path, grad, said):
    times = timesteps.read_times(write_times(tmp_path, grad=grad))
    assert timesteps.headline(times) == f"Gradient reaching time step t = 0 {said}"


def test_layers_of_one_run_may_be_of_any_number(tmp_path):
    times = timesteps.read_times(write_times(tmp_path, depths=(2, 4), steps=(0, 5, 9), length=3))
    assert {depth for depth, _ in times.grads} == {2, 4}
    assert all(matrix.shape == (3, 3) and matrix.count() == 9 for matrix in times.grads.values())
