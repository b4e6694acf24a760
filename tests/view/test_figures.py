import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from matplotlib.text import Text

from gradlab.artifacts.read import DZ, read_layers, read_metrics
from gradlab.errors import GradlabError
from gradlab.view import flow, heatmap, order, training
from gradlab.view.figures import draw_run, figure_of, figures_of
from gradlab.view.style import integer_ticks

ALL = ["gradient_flow", "gradient_heatmap", "loss", "update_ratio"]
FLOW = (flow.FORWARD, DZ, training.UPDATE)
LOSS = ("step", "train_loss", "eval_loss", "eval_accuracy", "lr")


def names(paths):
    return [path.name for path in paths]


def sigmoid(step, depth):
    return 10.0 ** -(61 - depth) if depth <= 60 else 1.0


@pytest.mark.parametrize(
    "shape",
    [
        {"hidden": 0}, {"hidden": 1}, {"hidden": 60, "gradient": sigmoid}, {"hidden": 3, "head": False},
        {"gradient": lambda step, depth: 0.0, "update": 0.0}, {"gradient": lambda step, depth: "nan", "update": "inf"},
        {"gradient": lambda step, depth: "" if step else 1.0}, {"gradient": lambda step, depth: 1e300**(1 - depth % 3)},
        {"loss": "nan"}, {"loss": ""}, {"loss": -1.0}, {"steps": (0, 1, 2, 599)}, {"spread": "inf"},
    ],
)  # fmt: skip
def test_every_shape_of_run_is_drawn(write_run, shape):
    folder = write_run(**shape)
    paths = draw_run(folder, caption="activation=sigmoid $x_1")
    assert names(paths) == [f"{name}.{kind}" for name in ALL for kind in ("png", "svg")]
    assert all(path.parent == folder / "figures" and path.stat().st_size > 2000 for path in paths)


def test_nothing_recorded_nothing_drawn(write_run):
    assert draw_run(write_run(steps=()), caption="") == []


def test_one_step_draws_no_figure_against_the_step(write_run):
    """A heat map of one column and a loss of one point would show nothing."""
    assert figures_of(write_run(steps=(5,))) == ["gradient_flow", "update_ratio"]


def test_without_an_update_there_are_no_update_ratios(write_run):
    paths = draw_run(write_run(steps=(0,), update=""), caption="train=init")
    assert {path.stem for path in paths} == {"gradient_flow"}


def test_each_figure_can_be_had_without_a_file(write_run):
    folder = write_run()
    assert figures_of(folder) == ALL
    files = sorted(folder.rglob("*"))
    figures = {name: figure_of(folder, name, caption="width=7") for name in ALL}
    assert sorted(folder.rglob("*")) == files
    for figure in figures.values():
        assert "width=7" in [text.get_text() for text in figure.texts]
    with pytest.raises(
        GradlabError, match=r"no figure 'los'; did you mean loss\?: it has gradient_flow, .*update_ratio"
    ):
        figure_of(folder, "los")


def test_the_same_files_give_the_same_bytes_also_side_by_side(write_run):
    first, *others = (write_run(name=name) for name in "abc")
    expected = [path.read_bytes() for path in draw_run(first, caption="c")]
    with ThreadPoolExecutor(2) as pool:
        for paths in pool.map(lambda folder: draw_run(folder, caption="c"), others):
            assert [path.read_bytes() for path in paths] == expected


def test_svg_texts_are_texts_and_show_the_caption_as_written(write_run):
    paths = draw_run(
        write_run(gradient=lambda step, depth: 0.0 if depth < 3 else 1.0), caption="lr=$0.1$ model_depth=5"
    )
    svg = next(path for path in paths if path.name == "gradient_flow.svg").read_text()
    for text in ("lr=$0.1$ model_depth=5", "exactly 0", "head", "L2 norm of dL/dz over the batch"):
        assert text in svg


def test_an_svg_of_100_layers_and_600_steps_is_small(write_run):
    noise = np.random.default_rng(0).lognormal(size=(600, 102))
    folder = write_run(hidden=100, steps=range(600), gradient=lambda step, depth: float(noise[step, depth]))
    assert all(path.stat().st_size < 300_000 for path in draw_run(folder, caption="c") if path.suffix == ".svg")


@pytest.mark.parametrize(
    ("gradient", "said"),
    [
        (lambda s, d: 0.1 ** (5 - d), "reaching layer 1 is 0.0001 of layer 5's at step 0, 0.0001 at step 9"),
        (lambda s, d: 2.0**-d, "reaching layer 1 is 16 times layer 5's at step 0, 16 at step 9"),
        (lambda s, d: 0.0, "norm of layer 1 is exactly 0 at steps 0 and 9"),
        (lambda s, d: "inf" if s else d, "norm of layer 1 is 1 (layer 5: 5) at step 0, not finite at step 9"),
        (lambda s, d: "" if s else d, "norm of layer 1 is 1 (layer 5: 5) at step 0, not measured at step 9"),
        (lambda s, d: (1e-300, 1e300)[d > 1], "reaching layer 1 is 1e-600 of layer 5's at step 0, 1e-600 at step 9"),
    ],
)  # fmt: skip
def test_the_flow_figure_says_the_point(write_run, gradient, said):
    assert flow.headline(read_layers(write_run(steps=(0, 9), gradient=gradient), FLOW)) == f"Gradient {said}"


def test_the_heatmap_counts_what_has_no_logarithm(write_run):
    layers = read_layers(write_run(steps=(0, 9), gradient=lambda step, depth: {1: 0.0, 2: "nan"}.get(depth, 1.0)), FLOW)
    said = "The hidden layers' gradients span 0 decades at step 0, 0 at step 9; "
    assert heatmap.headline(layers) == said + "2 of 12 gradients are exactly 0; 2 of 12 gradients are not finite"


def test_merged_cells_hide_neither_zero_nor_nan():
    values = np.ma.MaskedArray(np.ones((10_000, 3)))
    values[1234, 0], values[5678, 1] = 0.0, np.nan
    decades, kinds = heatmap.merge(values)
    assert kinds.shape == (360, 3)
    assert [(kinds == kind).sum() for kind in (1, 2, 3)] == [1, 1, 0]
    assert np.nanmax(np.abs(decades)) == 0


def test_the_loss_figure_says_the_point(write_run):
    broken = training.loss_headline(read_metrics(write_run(loss="nan"), LOSS))
    assert broken == "Train loss is not finite at step 0; eval loss 1.5"
    still = training.loss_headline(read_metrics(write_run(name="still"), LOSS))
    assert still == "Train loss did not fall: it went from 1 to 1 by step 20; eval loss 1.5"


def test_the_update_figure_says_the_point(write_run):
    said = training.update_headline(read_layers(write_run(update=2e-4), FLOW))
    assert said == "Relative update at step 20: 0.0002 in layer 1, 0.0002 in layer 5"


@pytest.mark.parametrize(
    ("first", "last"), [(0, 0), (1, 2), (1, 10), (1, 300), (0, 599), (1, 10_000), (990, 1_000_000)]
)
def test_ticks_are_few_integers_with_both_ends(first, last):
    ticks = integer_ticks(first, last)
    assert (ticks[0], ticks[-1]) == (first, last)
    assert len(ticks) <= 9
    assert all(isinstance(tick, int) for tick in ticks)


def test_drawing_imports_neither_torch_nor_pyplot():
    code = (
        "import sys, gradlab.view.figures, gradlab.view.layer_table; "
        "print({'torch', 'matplotlib.pyplot', 'hydra'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def put(folder, **record):
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | record))
    return folder


def verdict(name, *, when="final", over="depth", column="preactivation_grad_norm", root_cause=False):
    judged = {"name": name, "sentence": name, "when": when, "step": 0}
    return judged | {"over": over, "column": column, "root_cause": root_cause}


def titles(folder):
    return {name: figure_of(folder, name).texts[0].get_text().replace("\n", " ") for name in figures_of(folder)}


def test_each_title_begins_with_the_verdict_on_what_it_shows(write_run):
    folder = put(
        write_run(),
        verdicts=[
            verdict("healthy", when="initial"), verdict("vanishing"),
            verdict("loss_not_falling", over="training", column="train_loss"),
            verdict("update_too_small", over="training", column="update_ratio"),
            verdict("learning_rate_too_low", over="training", column="update_ratio", root_cause=True),
        ],
    )  # fmt: skip
    said = titles(folder)
    for name in ("gradient_flow", "gradient_heatmap"):
        assert said[name].startswith("Healthy at first, vanishing at the end: ")
    assert said["loss"].startswith("Loss not falling: train loss")
    assert said["update_ratio"].startswith("Learning rate too low: relative update"), "the root cause comes first"


def test_each_title_of_a_diverged_run_says_so(write_run):
    folder = put(write_run(loss="nan"), status="diverged", verdicts=[verdict("healthy")])
    assert {title.partition(": ")[0] for title in titles(folder).values()} == {"Diverged"}


def test_the_loss_has_a_line_of_chance_and_a_learning_rate_only_where_it_changes(write_run):
    folder = put(write_run(loss=2.3), chance={"loss": 2.302, "accuracy": 0.1})
    figure = figure_of(folder, "loss")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["train", "eval", "chance"]
    assert list(next(line for line in axes.get_lines() if line.get_label() == "chance").get_ydata()) == [2.302] * 2
    assert "no better than chance (2.3)" in figure.texts[0].get_text().replace("\n", " ")
    table = (folder / "metrics.csv").read_text().splitlines()
    table[-1] = table[-1].replace(",0.1,", ",0.01,")
    (folder / "metrics.csv").write_text("\n".join(table) + "\n")
    assert [axes.get_ylabel() for axes in figure_of(folder, "loss").axes] == ["mean loss", "learning rate"]


def test_a_recurrent_net_of_one_layer_has_no_figure_over_depth(write_run):
    folder = write_run(hidden=1)
    rows = [f"{step},1,stem.input,{time},1.0,{0.5**time}" for step in (0, 10) for time in range(5)]
    (folder / "timesteps.csv").write_text(
        "step,depth_index,layer,time,hidden_norm,hidden_grad_norm\n" + "\n".join(rows)
    )
    assert figures_of(folder) == ["loss", "update_ratio", "timestep_flow", "timestep_heatmap"]


NAMES = ["embed", *(f"encoder.{block}.{role}" for block in range(3) for role in ("attention.out", "mlp.0", "mlp.2"))]


def rename(folder, names):
    """Give the layers of a made-up run other names."""
    path = folder / "gradients.csv"
    table = path.read_text()
    for place, name in enumerate(names):
        table = table.replace(f",layers.{place},", f",{name},")
    path.write_text(table)
    return folder


def test_the_layers_of_ones_own_model_have_names_and_stand_by_role(write_run):
    layers = read_layers(rename(write_run(hidden=10), NAMES), FLOW)
    found = order.order_layers(layers)
    assert [layers.names[row] for row in found.rows] == [
        "embed", *(f"encoder.{block}.{role}" for role in ("attention.out", "mlp.0", "mlp.2") for block in range(3)),
    ]  # fmt: skip
    assert list(found.ticks.values()) == ["embed", "attention.out (3)", "mlp.0 (3)", "mlp.2 (3)"]
    assert [len(range(*group.indices(10))) for group in found.groups] == [1, 3, 3, 3]
    assert flow.headline(layers).startswith("Gradient reaching embed is 510 times encoder.2.mlp.2's at step 0")


def test_built_nets_have_numbers_and_others_without_blocks_names(write_run):
    built = read_layers(
        rename(write_run(hidden=3), ["stem.affine", "blocks.0.branch.0.affine", "blocks.10.1.affine"]), FLOW
    )
    assert not order.order_layers(built).named
    plain = order.order_layers(read_layers(rename(write_run(hidden=3, name="b"), ["conv1", "conv2", "fc"]), FLOW))
    assert (list(plain.ticks.values()), len(plain.groups)) == (["conv1", "conv2", "fc"], 1)


def test_figures_of_ones_own_model_name_its_layers(write_run):
    folder = rename(write_run(hidden=10), NAMES)
    for name, place in (("gradient_flow", "xaxis"), ("gradient_heatmap", "yaxis")):
        labels = [
            text.get_text() for axes in figure_of(folder, name).axes for text in getattr(axes, place).get_ticklabels()
        ]
        assert "mlp.0 (3)" in labels


def test_update_ratios_of_a_deep_net_are_ten_lines_with_names(write_run):
    (axes,) = figure_of(write_run(hidden=50), "update_ratio").axes
    names = [text.get_text() for text in axes.texts]
    assert {"head", "aim: 0.001", "layer 1", "layer 50"} < {*names}
    assert len(names) == 12
    heights = sorted(Text.get_window_extent(text).y0 for text in axes.texts)  # the text alone, without its line
    assert np.diff(heights).min() > 8, "no name covers another"
