"""A run's folder as a Python object."""

import json
import pickle

import numpy as np
import pytest
from matplotlib.figure import Figure
from tests.support.made_up import make_run, make_sweep, write_config

import gradlab
from gradlab.probe.columns import COLUMNS

VANISHING = {
    "when": "final", "step": 20, "over": "depth", "name": "vanishing", "sentence": "layer 1 <sees> nothing & no more",
    "root_cause": True, "remedies": [],
}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """A made-up run with a verdict."""
    folder = make_run(tmp_path / "<run>")
    record = {"hidden_layers": 5, "status": "completed", "steps": 21, "metrics": {"train_loss": 0.5, "eval_loss": None}}
    (folder / "run.json").write_text(json.dumps(record | {"verdicts": [VANISHING]}))
    return gradlab.Run(folder)


def test_tables_are_frames_with_exact_numbers_and_names_as_texts(run):
    path = run.folder / "gradients.csv"
    path.write_text(path.read_text().replace("layers.0", "0").replace("0.03125", "0.1234567890123456"))
    gradients = run.gradients
    assert gradients.layer.iloc[0] == "0"
    assert 0.1234567890123456 in set(gradients.preactivation_grad_norm)
    assert gradients.weight_norm.isna().all()
    assert run.metrics.step.tolist() == [0, 10, 20]
    assert run.gradients is gradients


def test_a_missing_table_has_its_columns_and_no_rows(run):
    assert (len(run.timesteps), list(run.timesteps)[:4]) == (0, ["step", "depth_index", "layer", "time"])
    for name in ("gradients", "metrics"):
        (run.folder / f"{name}.csv").unlink()
    bare = gradlab.Run(run.folder)
    assert (len(bare.gradients), list(bare.gradients)) == (0, list(COLUMNS))
    assert bare.gradients.query("step == 0").empty
    assert len(bare.metrics) == 0


def test_non_finite_cells_stay_non_finite(run):
    path = run.folder / "metrics.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "0,,inf,,0.1,nan,,,", *lines[2:]]) + "\n")
    assert run.metrics.train_loss.iloc[0] == np.inf
    assert np.isnan(run.metrics.grad_norm.iloc[0])


def test_other_tables_by_name(run):
    (run.folder / "neighbours.csv").write_text("step,depth_index,layer,lag,grad_cosine\n0,1,a,1,0.5\n")
    assert run.table("neighbours").grad_cosine.tolist() == run.table("neighbours.csv").grad_cosine.tolist() == [0.5]
    with pytest.raises(gradlab.GradlabError, match="no table 'x'; it has gradients, metrics, neighbours"):
        run.table("x")
    (run.folder / "neighbours.csv").write_text("step,lag\n0,1,2,3\n1\n0,1,2,3,4,5\n")
    with pytest.raises(gradlab.GradlabError, match=r"neighbours\.csv: "):
        run.table("neighbours")


def test_record_verdicts_and_root_cause(run):
    assert (run.status, run.root_cause) == ("completed", "vanishing")
    assert [verdict["name"] for verdict in run.verdicts] == ["vanishing"]
    (run.folder / "run.json").unlink()
    killed = gradlab.Run(run.folder)
    assert (killed.status, killed.root_cause, list(killed.verdicts)) == ("unfinished", None, [])
    assert "unfinished" in repr(killed)


def test_config_and_overrides_are_read_if_they_were_saved(run):
    assert (run.config, run.overrides) == ({}, [])
    write_config(run.folder, ["seed=3"])
    (run.folder / ".hydra" / "hydra.yaml").write_text("hydra:\n  runtime:\n    choices: {}\n")
    known = gradlab.Run(run.folder)
    assert (known.config["model"]["depth"], known.overrides) == (10, ["seed=3"])
    (run.folder / ".hydra" / "config.yaml").write_text("a: [")
    with pytest.raises(gradlab.GradlabError, match="hydra is broken"):
        _ = gradlab.Run(run.folder).config


def test_every_listed_figure_can_be_drawn(run):
    assert run.figures == ["gradient_flow", "gradient_heatmap", "loss", "update_ratio"]
    for name in run.figures:
        assert isinstance(run.plot(name), Figure)
    assert not (run.folder / "figures").exists()
    with pytest.raises(gradlab.GradlabError, match=r"no figure 'los'; did you mean loss.: it has gradient_flow, "):
        run.plot("los")


def test_a_run_without_recorded_steps_has_no_figures(run):
    for path in run.folder.glob("*.csv"):
        path.unlink()
    assert run.figures == []
    with pytest.raises(gradlab.GradlabError, match="nothing was recorded"):
        run.plot()
    assert "vanishing" in run._repr_html_()


def test_its_repr_is_a_line_and_its_html_is_complete_and_escaped(run):
    line = repr(run)
    assert "\n" not in line
    assert line.endswith("<run>: completed, 21 steps, train_loss 0.5, vanishing>")
    html = run._repr_html_()
    assert "layer 1 &lt;sees&gt; nothing &amp; no more" in html
    assert "&lt;run&gt;" in html
    assert "<run>" not in html
    assert html.count("<img") == html.count('src="data:image/png;base64,') == 1


def test_a_notebook_shows_the_text_of_a_run_with_a_broken_table(run):
    with (run.folder / "gradients.csv").open("a") as file:
        file.write("20,2\n")
    html = run._repr_html_()
    assert "no figure: " in html
    assert "layer 1 " in html


def test_it_is_a_path_and_can_be_pickled(run):
    assert gradlab.load(run).folder == run.folder
    assert pickle.loads(pickle.dumps(run)).root_cause == "vanishing"


def test_a_folder_without_a_run_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(gradlab.GradlabError, match="there is no such folder"):
        gradlab.Run(tmp_path / "nowhere")
    with pytest.raises(gradlab.GradlabError, match="holds no run"):
        gradlab.Run(tmp_path / "empty")


def test_an_explanation_equals_the_output_of_the_command(run, tmp_path):
    made = make_run(tmp_path / "one", gradient=lambda step, depth: 1e-3 ** (6 - depth))
    explanation = gradlab.explain(made)
    assert explanation.root_causes == ["vanishing"]
    assert "ROOT CAUSE: vanishing" in str(explanation)
    assert str(gradlab.Run(made).explain()) == str(explanation)
    make_sweep(tmp_path / "s", [["seed=0"], ["seed=1"]], gradient=lambda step, depth: 1e-3 ** (6 - depth))
    assert str(gradlab.explain(gradlab.load(tmp_path / "s"))).endswith("2 runs: 2 vanishing")
    assert gradlab.explain(made)._repr_html_().startswith("<pre>")
