"""The command gradlab-report."""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from tests.support.made_up import make_sweep

from gradlab.cli import report

SWEEP = [[f"activation={name}", f"seed={seed}"] for name in ("relu", "tanh") for seed in (0, 1)]


@pytest.fixture
def command(monkeypatch):
    """Run gradlab-report in this process and return its exit code."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gradlab-report", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            report.main()
        return end.value.code

    return run


def test_help_comes_at_once_and_nothing_here_needs_torch(write_run, tmp_path):
    make_sweep(tmp_path / "sweep", SWEEP)
    code = (
        "import sys; from gradlab.cli import report; heavy = {'torch', 'pandas', 'matplotlib', 'hydra', 'yaml'};"
        "assert not heavy & set(sys.modules);"
        f"sys.argv = ['gradlab-report', {str(write_run())!r}, {str(tmp_path / 'sweep')!r}, '--to', {str(tmp_path)!r}]\n"
        "try: report.main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_run_of_gradients_alone_is_drawn(write_run, command):
    folder = write_run()
    (folder / "metrics.csv").unlink()
    (folder / "run.json").unlink()
    assert command(folder) == 0
    assert {path.stem for path in (folder / "figures").iterdir()} == {
        "gradient_flow", "gradient_heatmap", "update_ratio"
    }  # fmt: skip
    assert "gradient_heatmap" in (folder / "report.html").read_text()
    assert not (folder / "summary.csv").exists()


def test_a_sweep_is_made_again_from_its_files(tmp_path, command, capsys):
    runs = make_sweep(tmp_path, SWEEP, steps=(0, 20))
    assert command(tmp_path) == 0
    assert capsys.readouterr() == (f"{tmp_path / 'report.html'}\n", "")
    table = pd.read_csv(tmp_path / "summary.csv")
    assert table.activation.tolist() == ["relu", "relu", "tanh", "tanh"]
    assert table.dtypes[["seed", "eval_accuracy", "steps"]].astype(str).tolist() == ["int64", "float64", "int64"]
    assert pd.read_csv(tmp_path / "summary_by_config.csv").n.tolist() == [2, 2]
    assert (tmp_path / "figures" / "ranking.png").exists()
    assert not (runs[0] / "figures").exists()
    first = (tmp_path / "report.html").read_bytes()
    assert command(tmp_path, "--each") == 0
    assert (tmp_path / "report.html").read_bytes() == first
    assert all((run / "report.html").exists() for run in runs)


def test_broken_runs_are_named_and_the_others_shown(tmp_path, command, capsys):
    runs = make_sweep(tmp_path, [*SWEEP, ["activation=relu", "seed=2"]])
    with (runs[0] / "gradients.csv").open("a") as file:
        file.write("20,2\n")
    (runs[1] / "run.json").write_text('{"status": "comp')
    (runs[2] / ".hydra" / "overrides.yaml").write_text("- [")
    assert command(tmp_path) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    for run, reason in zip(runs, ("2 cells instead of", "run.json is broken", "not YAML"), strict=False):
        assert sum(str(run) in line and reason in line for line in said) == 1
    table = pd.read_csv(tmp_path / "summary.csv")
    assert table.status.tolist() == ["completed", "unfinished", "completed", "completed"]
    assert command(runs[0]) == 1
    shutil.rmtree(tmp_path / "figures")


def test_sweeps_are_laid_side_by_side(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_sweep(tmp_path / "one", SWEEP)
    make_sweep(tmp_path / "two", [["model.depth=3"]])
    assert command("one", "two", "--metric", "eval_loss", "--grid", "sweep,seed") == 0
    place = tmp_path / "outputs" / "reports" / "one+two"
    assert (place / "figures" / "grid_sweep_seed.svg").exists()
    table = pd.read_csv(place / "summary.csv")
    assert table["sweep"].tolist() == ["one"] * 4 + ["two"]
    assert table["model.depth"].tolist() == [10] * 4 + [3]
    assert not (tmp_path / "one" / "summary.csv").exists()


def test_what_cannot_be_done_is_said_in_one_line(tmp_path, command, capsys):
    make_sweep(tmp_path / "sweep", SWEEP)
    (tmp_path / "empty").mkdir()
    for arguments, said in (
        (["missing"], "missing: there is no such folder"),
        ([tmp_path / "empty"], "holds no run"),
        ([tmp_path / "sweep", "--metric", "eval_accuracyy"], "did you mean eval_accuracy?"),
        ([tmp_path / "sweep", "--grid", "activatoin,seed"], "did you mean activation?"),
    ):
        assert command(*arguments) == 1
        line = capsys.readouterr().err
        assert said in line
        assert line.count("\n") == 1


def test_a_sweep_of_failures_has_a_report_that_names_them(tmp_path, command):
    make_sweep(tmp_path, SWEEP, status=lambda number: "failed")
    assert command(tmp_path) == 0
    page = (tmp_path / "report.html").read_text()
    assert "4 failed" in page
    assert "it broke" in page
    assert json.loads((tmp_path / "run0" / "run.json").read_text())["status"] == "failed"
