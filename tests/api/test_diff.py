"""gradlab.diff and gradlab-diff."""

import json
import shutil
import sys

import pandas as pd
import pytest
from tests.support.made_up import make_run, make_sweep, write_config

import gradlab
from gradlab.cli import diff as command


@pytest.fixture
def call(monkeypatch, capsys):
    """Run gradlab-diff in this process and return exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gradlab-diff", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            command.main()
        return end.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def pair(tmp_path):
    """Two runs with the same files."""
    make_run(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    return tmp_path / "one", tmp_path / "other"


def change(folder, name, column, row, factor):
    """Multiply a cell of a table; the other cells keep their texts."""
    table = pd.read_csv(folder / name, dtype=str, keep_default_na=False)
    table.loc[row, column] = repr(float(table.loc[row, column]) * factor)
    table.to_csv(folder / name, index=False, lineterminator="\n")
    return table.loc[row]


def test_the_same_files_are_identical(pair, call):
    found = gradlab.diff(*pair)
    assert (found.same, found.kind) == (True, "identical")
    assert {table["kind"] for table in found.result["tables"]} == {"identical"}
    code, out, err = call(*pair)
    assert (code, err) == (0, "")
    assert "gradients.csv: identical to the last bit (" in out
    assert out.endswith("same numbers: identical to the last bit\n")


def test_the_first_difference_is_named_with_step_layer_column_and_kind(pair, call):
    row = change(pair[1], "gradients.csv", "preactivation_grad_norm", 7, 1 + 1e-9)
    found = gradlab.diff(*pair)
    table = found.result["tables"][0]
    assert (found.same, table["kind"], table["differing"]) == (True, "rounding", 1)
    first = table["first"]
    assert (first["step"], first["depth_index"], first["layer"]) == (int(row.step), int(row.depth_index), row.layer)
    assert (first["column"], first["other"]) == ("preactivation_grad_norm", row.preactivation_grad_norm)
    assert first["relative"] == pytest.approx(1e-9, rel=1e-3)
    assert call(*pair)[0] == 0
    assert call(*pair, "--tolerance", 0)[0] == 3

    later = change(pair[1], "gradients.csv", "preactivation_std", 12, 2)
    found = gradlab.diff(*pair)
    table = found.result["tables"][0]
    assert (found.same, table["kind"], table["differing"], table["largest"]) == (False, "value", 2, 0.5)
    assert table["first"] == first
    assert (table["first_value"]["step"], table["first_value"]["column"]) == (int(later.step), "preactivation_std")
    code, out, _ = call(*pair)
    assert code == 3
    place = f"first at step {later.step}, layer {later.depth_index} ({later.layer}): preactivation_std "
    assert f"gradients.csv: other values, {place}" in out
    assert f"rounding before, first at step {row.step}, layer {row.depth_index} ({row.layer}): " in out


def test_every_table_is_compared(pair):
    change(pair[1], "metrics.csv", "train_loss", 1, 3)
    (pair[0] / "neighbours.csv").write_text("step,depth_index,layer,lag,grad_cosine\n0,1,a,1,0.5\n")
    tables = {table["table"]: table["kind"] for table in gradlab.diff(*pair).result["tables"]}
    assert tables == {"gradients.csv": "identical", "metrics.csv": "value", "neighbours.csv": "nothing shared"}


def test_rows_of_one_run_only_are_reported_and_the_rest_is_compared(tmp_path):
    make_run(tmp_path / "one", steps=(0, 10, 20))
    make_run(tmp_path / "other", steps=(0, 10))
    found = gradlab.diff(tmp_path / "one", tmp_path / "other")
    assert (found.same, found.kind) == (False, "identical")
    table = found.result["tables"][0]
    assert table["only"] == {"step": {"one": [20], "other": []}}
    assert table["only_other"] == 0
    assert "step in one only: 20" in str(found)
    assert str(found).endswith(
        "the shared figures are identical to the last bit, but one of the two has further figures"
    )


def test_signed_figures_near_zero_are_compared_with_their_column(pair):
    for folder, value in zip(pair, ("1e-12", "-1e-12"), strict=True):
        table = pd.read_csv(folder / "gradients.csv", dtype=str, keep_default_na=False)
        table["weight_grad_cosine"] = "0.5"
        table.loc[3, "weight_grad_cosine"] = value
        table.to_csv(folder / "gradients.csv", index=False)
    table = gradlab.diff(*pair).result["tables"][0]
    assert (table["kind"], table["largest"]) == ("rounding", pytest.approx(4e-12))


def test_zeros_of_different_sign_differ_by_rounding_only(pair):
    for folder, value in zip(pair, ("0.0", "-0.0"), strict=True):
        table = pd.read_csv(folder / "gradients.csv", dtype=str, keep_default_na=False)
        table.loc[3, "preactivation_std"] = value
        table.to_csv(folder / "gradients.csv", index=False)
    table = gradlab.diff(*pair, tolerance=0).result["tables"][0]
    assert (table["kind"], table["differing"], table["largest"]) == ("rounding", 1, 0.0)


def test_a_figure_that_is_not_finite_in_one_run_only_differs_in_value(pair):
    change(pair[1], "gradients.csv", "preactivation_std", 4, float("nan"))
    assert gradlab.diff(*pair).result["tables"][0]["largest"] == float("inf")
    change(pair[0], "gradients.csv", "preactivation_std", 4, float("nan"))
    assert gradlab.diff(*pair).same


def test_configs_and_environments(pair, call):
    for folder, steps, threads in zip(pair, (30, 40), (1, 2), strict=True):
        write_config(folder, ["seed=0"])
        config = folder / ".hydra" / "config.yaml"
        config.write_text(json.dumps({"train": {"steps": steps, "resume": None}, "figures": steps == 30, "seed": 0}))
        record = json.loads((folder / "run.json").read_text())
        record["environment"] = {"torch": "2.15.0", "threads": threads}
        (folder / "run.json").write_text(json.dumps(record))
    found = gradlab.diff(*pair).result
    assert found["config"]["decisive"] == [{"key": "train.steps", "one": 30, "other": 40}]
    assert found["config"]["other"] == [{"key": "figures", "one": True, "other": False}]
    assert found["environment"] == [{"key": "threads", "one": 1, "other": 2}]
    _, out, _ = call(*pair, "--json")
    assert json.loads(out)["result"] == json.loads(json.dumps(found))
    _, out, _ = call(*pair)
    assert "  train.steps: 30 and 40\n" in out
    assert "environment:\n  threads: 1 and 2\n" in out


def test_sweeps_are_matched_by_their_overrides(tmp_path, call):
    sweep = [["activation=relu", "seed=0"], ["activation=relu", "seed=1"], ["activation=tanh", "seed=0"]]
    make_sweep(tmp_path / "a", sweep)
    runs = make_sweep(tmp_path / "b", [list(reversed(sweep[1])), sweep[0], ["activation=elu", "seed=0"]])
    change(runs[0], "gradients.csv", "preactivation_std", 2, 2)
    found = gradlab.diff(tmp_path / "a", tmp_path / "b")
    assert found.result["counts"] == {"identical": 1, "rounding": 0, "value": 1, "nothing shared": 0}
    assert len(found.result["only_one"]) == len(found.result["only_other"]) == 1
    code, out, _ = call(tmp_path / "a", tmp_path / "b")
    assert code == 3
    assert "2 pairs of runs with the same overrides: 1 identical to the last bit, 1 other values" in out
    assert call(tmp_path / "a", tmp_path / "a")[0] == 0


def test_incomparable_folders_and_bad_tolerances_are_refused(tmp_path, call):
    make_sweep(tmp_path / "a", [["seed=0"], ["seed=1"]])
    make_sweep(tmp_path / "b", [["seed=2"], ["seed=3"]])
    make_run(tmp_path / "run")
    assert "is a run, and the other a sweep" in call(tmp_path / "run", tmp_path / "a")[2]
    assert "no run of " in call(tmp_path / "a", tmp_path / "b")[2]
    assert (
        "tolerance 2.0: a relative difference from 0 to 1" in call(tmp_path / "a", tmp_path / "a", "--tolerance", 2)[2]
    )


def test_the_notebook_output_is_escaped(pair):
    html = gradlab.diff(*pair)._repr_html_()
    assert html.startswith("<pre>one:   ")
    change(pair[1], "gradients.csv", "preactivation_std", 4, 3)
    shutil.move(pair[1], pair[1].with_name("<b>"))
    assert "&lt;b&gt;" in gradlab.diff(pair[0], pair[1].with_name("<b>"))._repr_html_()
