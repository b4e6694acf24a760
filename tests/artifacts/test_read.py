import numpy as np
import pytest

from gradlab.artifacts.read import read_columns, read_layers, read_metrics, spread_out

GRADIENT = "preactivation_grad_norm"


def test_layers_are_a_matrix_of_steps_by_layers(write_run):
    layers = read_layers(write_run(hidden=3, steps=(0, 7), gradient=lambda step, depth: step + depth / 10), [GRADIENT])
    assert layers.steps.tolist() == [0, 7]
    assert layers.depths.tolist() == [1, 2, 3, 4]
    assert layers.names == ["layers.0", "layers.1", "layers.2", "head"]
    assert layers.columns[GRADIENT].tolist() == [[0.1, 0.2, 0.3, 0.4], [7.1, 7.2, 7.3, 7.4]]


def test_empty_cells_are_masked_and_nan_cells_are_values(write_run):
    cells = {1: "", 2: "nan", 3: "inf", 4: "0.0"}
    layers = read_layers(write_run(hidden=3, steps=(0,), gradient=lambda step, depth: cells[depth]), [GRADIENT])
    values = layers.columns[GRADIENT][0]
    assert np.ma.getmaskarray(values).tolist() == [True, False, False, False]
    assert np.isnan(values[1])
    assert values[2] == np.inf
    assert values[3] == 0


def test_doubles_survive_at_both_ends_of_their_range(write_run):
    layers = read_layers(write_run(hidden=1, gradient=lambda step, depth: (5e-324, 1.7e308)[depth - 1]), [GRADIENT])
    assert layers.columns[GRADIENT][0].tolist() == [5e-324, 1.7e308]


def test_other_roles_are_left_out(write_run):
    gate = {"step": 0, "depth_index": 2, "layer": "layers.1.gate", "role": "gate", GRADIENT: 1e9}
    layers = read_layers(write_run(hidden=2, extra=[gate]), [GRADIENT])
    assert "layers.1.gate" not in layers.names
    assert layers.columns[GRADIENT].max() < 1


def test_run_json_says_which_layer_is_the_head(write_run):
    assert read_layers(write_run(hidden=3), [GRADIENT]).hidden == 3
    unwatched = read_layers(write_run(hidden=3, head=False, name="unwatched"), [GRADIENT])
    assert (unwatched.head, unwatched.hidden) == (False, 3)


def test_a_header_alone_is_an_empty_run(write_run):
    folder = write_run(steps=())
    layers = read_layers(folder, [GRADIENT])
    assert (layers.steps.size, layers.hidden, layers.head) == (0, 0, False)
    assert read_metrics(folder, ["train_loss"])["train_loss"].size == 0


def test_errors_name_the_file_and_what_is_wrong(tmp_path):
    path = tmp_path / "some.csv"
    path.write_text("a,b\n1,2\n3\n")
    with pytest.raises(ValueError, match=r"some\.csv: no column 'c'; it has a, b"):
        read_columns(path, ["c"])
    with pytest.raises(ValueError, match=r"some\.csv, line 3: 1 cells instead of 2"):
        read_columns(path, ["a"])


@pytest.mark.parametrize(
    ("count", "most", "expected"), [(0, 5, []), (1, 5, [0]), (3, 5, [0, 1, 2]), (61, 3, [0, 30, 60])]
)
def test_spread_out_keeps_both_ends(count, most, expected):
    assert spread_out(count, most) == expected
