"""The figures of a sweep: right for two runs and for thousands, and absent where they have nothing to say."""

from itertools import product

import numpy as np
import pytest
from tests.support.made_up import make_sweep

from gradlab.errors import GradlabError
from gradlab.sweep.summary import SUMMARY, summarize
from gradlab.view import curves, grid, overlay, ranking, ratio
from gradlab.view.format import label
from gradlab.view.sweep_figures import draw_sweep, figure_of, figures_of
from gradlab.view.sweeps import METRICS, in_order, median, read_sweep

ACCURACY = METRICS[0]


def read(folder, overrides, **shape):
    runs = make_sweep(folder, overrides, **shape)
    summary = summarize(folder, runs)
    return read_sweep(folder / SUMMARY, summary.runs, name="made up")


def product_of(**values):
    return [[f"{key}={value}" for key, value in zip(values, one, strict=True)] for one in product(*values.values())]


def names(drawings):
    return {drawing.path.stem for drawing in drawings}


EVERY = {"ranking", "gradient_flow", "gradient_ratio", "learning_curves", "grid"}
SMALL = {"activation": ("relu", "tanh"), "initializer": ("a", "b"), "depth": (5, 20), "seed": (0, 1)}


def test_all_figures_of_a_small_sweep(tmp_path):
    sweep = read(
        tmp_path, product_of(**SMALL), hidden=lambda number: (5, 20)[number // 2 % 2], steps=(0, 10),
        ratio=lambda number: 10.0 ** -(number % 40),
    )  # fmt: skip
    drawings = draw_sweep(sweep, tmp_path)
    pairs = {"grid_activation_initializer", "grid_activation_depth", "grid_initializer_depth"}
    assert names(drawings) == {"gradient_flow", "ranking", "gradient_ratio", "learning_curves"} | pairs
    for drawing in drawings:
        assert drawing.path.stat().st_size > 2000
        assert drawing.path.with_suffix(".png").exists()
    rows = {row for drawing in drawings if drawing.path.stem == "gradient_ratio" for _, _, row, _ in drawing.places}
    assert rows == set(range(16)), "every run can be pointed at"


def test_each_figure_can_be_had_without_a_file(tmp_path):
    sweep = read(tmp_path, product_of(**SMALL), hidden=lambda number: (5, 20)[number // 2 % 2], steps=(0, 10))
    files = sorted(tmp_path.rglob("*"))
    assert set(figures_of(sweep)) == names(draw_sweep(sweep, tmp_path))
    new = {path.name for path in {*tmp_path.rglob("*")} - {*files}}
    assert {f"{name}.svg" for name in figures_of(sweep)} <= new
    figure = figure_of(sweep, "grid_initializer_depth", metric=METRICS[1])
    assert figure.texts[0].get_text().startswith("Test loss by initializer and depth: best is ")
    with pytest.raises(GradlabError, match="made up: no figure 'rank'; did you mean ranking"):
        figure_of(sweep, "rank")


@pytest.mark.parametrize(
    ("overrides", "absent"),
    [
        (product_of(seed=(0, 1)), {"gradient_ratio", "grid"}),
        (product_of(activation=("relu", "tanh")), {"gradient_ratio", "grid"}),
        ([["seed=0"]], {"ranking", "gradient_flow", "gradient_ratio", "grid"}),
    ],
)
def test_what_was_not_swept_is_left_out(tmp_path, overrides, absent):
    drawn = names(draw_sweep(read(tmp_path, overrides, steps=(0, 10)), tmp_path))
    assert {name.split("_a")[0] for name in drawn} == EVERY - absent


@pytest.mark.parametrize(
    "shape",
    [
        {"ratio": lambda number: 0.0}, {"ratio": lambda number: "inf"}, {"ratio": lambda number: 1e-300 * number},
        {"status": lambda number: "failed"}, {"status": lambda number: "diverged"},
        {"accuracy": lambda number: None, "loss": "nan"}, {"steps": ()},
    ],
)  # fmt: skip
def test_every_kind_of_result_is_drawn(tmp_path, shape):
    shape = {"steps": (0, 10)} | shape
    if shape.get("ratio") and shape["ratio"](1) == "inf":
        shape["ratio"] = lambda number: float("inf")
    sweep = read(tmp_path, product_of(**SMALL), hidden=lambda number: 5 + number % 2, **shape)
    draw_sweep(sweep, tmp_path, pairs=[("activation", "depth")])


def test_nothing_is_drawn_where_all_failed(tmp_path):
    assert draw_sweep(read(tmp_path, product_of(**SMALL), status=lambda number: "failed"), tmp_path) == []


def test_the_ranking_is_by_the_median_and_what_did_not_complete_is_last(tmp_path):
    accuracy = {"relu": (0.5, 0.6, 0.9), "tanh": (0.7, 0.7, 0.1), "elu": (1.0, 1.0, 1.0), "gelu": (0.2, 0.3, 0.4)}
    flat = [value for values in accuracy.values() for value in values]
    sweep = read(
        tmp_path, product_of(activation=tuple(accuracy), seed=(0, 1, 2)), accuracy=lambda number: flat[number],
        status=lambda number: "diverged" if number in (6, 7) else "completed",
    )  # fmt: skip
    assert [name for name, _ in sweep.ranked(ACCURACY)] == ["tanh", "relu", "gelu", "elu"]
    said = ranking.headline(sweep, ACCURACY)
    assert said == "Best test accuracy: tanh (0.7, healthy); worst: elu (2 of 3 diverged, else 1)"


def test_the_ranking_of_many_shows_both_ends(tmp_path):
    sweep = read(tmp_path, product_of(a=range(40)), accuracy=lambda number: number / 40, steps=())
    sheet = ranking.ranking(sweep, ACCURACY)
    labels = [text.get_text() for text in sheet.figure.axes[0].get_yticklabels()]
    assert (labels[0], labels[12], labels[-1]) == ("a 39", "… 16 more …", "a 0")
    assert len(labels) == 25


def test_the_grid_holds_the_medians(tmp_path):
    values = np.random.default_rng(0).random((2, 2, 3)).round(3)
    sweep = read(
        tmp_path, product_of(a=("x", "y"), b=(10, 9), seed=(0, 1, 2)),
        accuracy=lambda number: float(values.flat[number]),
        status=lambda number: "failed" if number < 2 else "completed", steps=(),
    )  # fmt: skip
    found = grid.medians(sweep, ACCURACY, rows="a", columns="b")
    expected = np.median(values, axis=2)[:, ::-1]  # numbers are ordered by size
    expected[0, 1] = -np.inf  # two of the three failed
    assert found.tolist() == expected.tolist()


def test_curves_are_quartiles_over_the_seeds_that_got_there(tmp_path):
    sweep = read(tmp_path, product_of(seed=range(4)), steps=(0, 10))
    losses = np.array([[1.0, 4.0], [2.0, 3.0], [3.0, 1.0], [4.0, np.nan]])
    for folder, values in zip(sweep.folders, losses, strict=True):
        (folder / "metrics.csv").write_text(f"step,train_loss\n0,{values[0]}\n10,{values[1]}\n")
    steps, quartiles = curves._curve(sweep, np.arange(4), "train_loss")
    assert steps.tolist() == [0, 10]
    assert quartiles[:, 0].tolist() == np.quantile(losses[:, 0], [0.25, 0.5, 0.75]).tolist()
    assert quartiles[:, 1].tolist() == [2.5, 3.5, np.inf]


def write_accuracies(sweep, rows):
    for folder, values in zip(sweep.folders, rows, strict=True):
        lines = [f"{step},{value}" for step, value in values.items()]
        (folder / "metrics.csv").write_text("\n".join(["step,eval_accuracy", *lines, ""]))


def test_a_seed_that_diverged_stays_where_it_ended(tmp_path):
    sweep = read(tmp_path, product_of(seed=range(3)), status=lambda number: "diverged" if number == 1 else "completed")
    write_accuracies(
        sweep, [{0: 0.1, 300: 0.7, 400: 0.8}, {0: 0.1, 300: 0.75, 320: 0.08}, {0: 0.1, 300: 0.9, 400: 0.9}]
    )
    steps, quartiles = curves._curve(sweep, np.arange(3), "eval_accuracy")
    assert steps.tolist() == [0, 300, 400], "at 320 the other seeds were not evaluated"
    assert quartiles[1].tolist() == [0.1, 0.75, 0.8], "the median does not rise because the worst seed ended"
    (line,) = curves.read_curves(sweep, ACCURACY).lines
    assert line.name == "all runs (1 of 3 diverged)"
    assert "ends at" not in curves.headline(curves.read_curves(sweep, ACCURACY))


def test_a_loss_that_diverged_is_the_worst_for_good(tmp_path):
    sweep = read(tmp_path, product_of(seed=range(3)), status=lambda number: ("diverged", "failed", "completed")[number])
    for folder, text in zip(sweep.folders, ("0,2\n10,9\n", "0,2\n", "0,4\n10,2\n20,1\n"), strict=True):
        (folder / "metrics.csv").write_text(f"step,train_loss\n{text}")
    steps, quartiles = curves._curve(sweep, np.arange(3), "train_loss")
    assert steps.tolist() == [0, 10, 20], "the seed that failed does not end the line"
    assert quartiles.tolist() == [[2.5, 3.75, np.inf], [3, 5.5, np.inf], [3.5, 7.25, np.inf]]


def test_the_ratio_figure_shows_float32s_end_where_ratios_come_near_it(tmp_path):
    shape = {"hidden": lambda number: 5 + 15 * number}
    near = read(tmp_path / "near", product_of(depth=(5, 20)), ratio=lambda number: 10.0 ** (-40 * number), **shape)
    far = read(tmp_path / "far", product_of(depth=(5, 20)), **shape)
    (tmp_path / "near" / "figures").mkdir()
    for sweep, said in ((near, True), (far, False)):
        svg = ratio.gradient_ratio(sweep).save(tmp_path / "near" / "figures", "r")[1].read_text()
        assert ("float32's smallest normal" in svg) is said


def test_the_ratio_figure_of_a_net_without_hidden_layers_warns_of_nothing(tmp_path, recwarn):
    sweep = read(tmp_path, product_of(model=("linear", "mlp")), hidden=lambda number: 40 * number)
    (tmp_path / "figures").mkdir()
    ratio.gradient_ratio(sweep).save(tmp_path / "figures", "r")
    assert [str(warning.message) for warning in recwarn] == []


def test_a_recurrent_net_of_one_layer_is_judged_over_time(tmp_path):
    sweep = read(tmp_path, product_of(a=(1, 2)), steps=())
    sweep.table["verdict_final"] = ["shallow", "healthy"]
    sweep.table["verdict_final_time"] = ["vanishing", "exploding"]
    assert sweep.verdicts.tolist() == ["vanishing", "healthy"]


def test_labels_say_what_a_value_alone_does_not():
    config = {"activation": "relu", "model.depth": "20", "residual": "none", "optimizer.lr": "0.1"}
    assert label(config) == "relu, depth 20, residual none, lr 0.1"
    assert in_order(["10", "9", "1e-3", "9"]) == ["1e-3", "9", "10"]
    assert in_order(["b", "a"]) == ["b", "a"]


def test_a_large_sweep_is_drawn_in_seconds(tmp_path):
    sweep = read(
        tmp_path, product_of(activation="abcdefghij", initializer="abcde", depth=(5, 20), seed=range(3)), steps=(),
        hidden=lambda number: (5, 20)[number // 3 % 2], ratio=lambda number: 0.5 ** (number % 90),
    )  # fmt: skip
    drawings = draw_sweep(sweep, tmp_path)
    assert "gradient_ratio" in names(drawings)
    assert all(drawing.path.stat().st_size < 500_000 for drawing in drawings)


def test_two_runs_are_overlaid_in_one_figure_with_values_to_point_at(tmp_path):
    sweep = read(
        tmp_path, product_of(activation=("relu", "sigmoid")), steps=(0, 10),
        ratio=lambda number: (1.0, 1e-9)[number], gradient=lambda step, depth: 0.1 ** (step * (5 - depth)),
    )  # fmt: skip
    lines = overlay.read_lines(sweep, ACCURACY)
    assert [line.name for line in lines] == ["relu", "sigmoid"]
    np.testing.assert_allclose(lines[0].flow.last, [1e-40, 1e-30, 1e-20, 1e-10, 1.0])
    sheet = overlay.gradient_flow(sweep, lines)
    title = sheet.figure.texts[0].get_text().replace("\n", " ")
    assert title.startswith("Share of the gradient that reaches layer 1: 1e-40 with ")
    assert "sigmoid (vanishing)" in title
    assert {"relu, layer 1: 1e-40", "sigmoid, layer 5: 1"} <= {mark.text for mark in sheet.marks}
    colors = [handle.get_color() for handle in sheet.figure.axes[-1].get_legend().legend_handles]
    drawn = curves.learning_curves(sweep, curves.read_curves(sweep, ACCURACY)).figure.axes[0]
    assert colors == [line.get_color() for line in drawn.get_lines() if not line.get_label().startswith("_")]


@pytest.mark.parametrize(
    ("norms", "expected"),
    [
        ([0.0, 0.0, 0.0], [0, 0, 0]),
        ([4.0, 2.0, 0.0], [2, 1, 0]),
        ([0.0, 2.0, np.inf], [0, 1, np.inf]),
        ([np.nan, 2.0, 4.0], [np.nan, 0.5, 1]),
    ],
)
def test_a_zero_is_exactly_0_whatever_it_is_relative_to(norms, expected):
    np.testing.assert_array_equal(overlay._relative(np.ma.MaskedArray(norms)), expected)


def test_of_many_runs_the_best_and_the_worst_are_overlaid(tmp_path):
    sweep = read(tmp_path, product_of(a=range(9), seed=(0, 1, 2)), accuracy=lambda number: number / 27, steps=(0, 10))
    assert overlay.chosen_rows(sweep, ACCURACY) == [25, 1], "the median of each one's seeds"


def test_a_point_of_a_learning_curve_says_its_value(tmp_path):
    sweep = read(tmp_path, product_of(activation=("relu", "tanh")), steps=(0, 10))
    drawn = curves.learning_curves(sweep, curves.read_curves(sweep, ACCURACY))
    assert "tanh, step 10: training loss 1" in {mark.text for mark in drawn.marks}
    assert {mark.row for mark in drawn.marks} == {0, 1}


def test_medians_hold_infinities():
    inf = float("inf")
    for values, expected in (([1.0, 3.0], 2), ([inf, inf], inf), ([1.0, inf, inf], inf), ([-inf, 2.0, 3.0], 2)):
        assert median(np.array(values)) == expected
