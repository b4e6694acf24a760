"""A sweep's folder as a Python object."""

import shutil

import pandas as pd
import pytest
from matplotlib.figure import Figure
from tests.support.made_up import make_sweep

import gradlab
from gradlab.sweep.summary import summarize

CONFIGS = [["activation=relu", "seed=0"], ["activation=relu", "seed=1"], ["activation=<b>", "seed=0"]]


@pytest.fixture
def sweep(tmp_path):
    """A made-up sweep, the last run of which is the most accurate."""
    made = make_sweep(tmp_path / "s", CONFIGS, accuracy=lambda number: 0.5 + 0.1 * number)
    return gradlab.load(made[0].parent)


def test_runs_and_their_number(sweep):
    assert len(sweep) == len(sweep.runs) == 3
    assert [run.folder.name for run in sweep] == ["run0", "run1", "run2"]
    assert repr(sweep).endswith("3 runs: 3 completed>")


def test_the_tables_equal_the_files_and_nothing_is_written(sweep):
    before = sorted(sweep.folder.rglob("*"))
    table, by_config = sweep.summary, sweep.by_config
    assert sorted(sweep.folder.rglob("*")) == before
    summarize(sweep.folder, [run.folder for run in sweep])
    written = pd.read_csv(sweep.folder / "summary.csv")
    assert list(table) == list(written)
    assert table.eval_accuracy.tolist() == written.eval_accuracy.tolist() == [0.5, 0.6, 0.7]
    assert table.activation.tolist() == ["relu", "relu", "<b>"]
    assert list(by_config) == list(pd.read_csv(sweep.folder / "summary_by_config.csv"))
    assert by_config.eval_accuracy_median.tolist() == [0.55, 0.7]
    assert by_config.n.tolist() == [2, 1]


def test_the_best_run_by_any_metric(sweep, tmp_path):
    assert sweep.best().folder.name == "run2"
    assert sweep.best("eval_loss").folder.name == "run0"
    with pytest.raises(
        gradlab.GradlabError, match=r"eval_acuracy; did you mean eval_accuracy. measured: eval_accuracy"
    ):
        sweep.best("eval_acuracy")
    failed = make_sweep(tmp_path / "f", [["seed=0"], ["seed=1"]], accuracy=lambda number: 0.9 - number * 0.5,
                        status=lambda number: ["diverged", "completed"][number])  # fmt: skip
    assert gradlab.load(failed[0].parent).best().folder.name == "run1"
    nothing = make_sweep(tmp_path / "n", [["seed=0"], ["seed=1"]], status=lambda number: "failed")
    with pytest.raises(gradlab.GradlabError, match="no completed run has a finite metric; measured: none"):
        gradlab.load(nothing[0].parent).best()


def test_every_listed_figure_can_be_drawn(sweep):
    assert {"ranking", "learning_curves"} <= set(sweep.figures)
    for name in sweep.figures:
        assert isinstance(sweep.plot(name), Figure)
    assert isinstance(sweep.plot(metric="eval_loss"), Figure)
    assert not (sweep.folder / "figures").exists()
    with pytest.raises(gradlab.GradlabError, match=r"did you mean ranking.: it has "):
        sweep.plot("rankin")


def test_a_notebook_shows_table_and_ranking_escaped(sweep):
    html = sweep._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "eval_accuracy_median" in html
    assert html.count('src="data:image/png;base64,') == 1


def test_a_broken_run_has_no_row_and_several_sweeps_are_one(sweep, tmp_path):
    shutil.copytree(sweep.folder, tmp_path / "both" / "a")
    shutil.copytree(sweep.folder, tmp_path / "both" / "b")
    both = gradlab.load(tmp_path / "both")
    assert len(both) == 6
    assert both.summary["sweep"].tolist() == ["a"] * 3 + ["b"] * 3
    (tmp_path / "both" / "a" / "run0" / ".hydra" / "overrides.yaml").write_text("[")
    assert len(gradlab.load(tmp_path / "both").summary) == 5
