"""Tables of a sweep: content of a row, aggregation over seeds, and concurrent writes."""

import csv
import json
import random
import sys
import time
from math import inf, isnan, nan
from subprocess import Popen

import numpy as np
import pytest
from omegaconf import OmegaConf
from tests.support.counting import python_calls
from tests.support.made_up import make_sweep, write_config

from gradlab.run.row import read_overrides, read_row
from gradlab.sweep.summary import BY_CONFIG, SUMMARY, add_run, aggregate, quantile, read_rows, summarize, together


def test_overrides_are_read_as_hydra_reads_them(tmp_path):
    texts = [
        "model.depth=10",
        "optimizer.lr=1e-3",
        "+x.y='a b'",
        "train.decay_biases=False",
        "k=[1, 2]",
        "a=null",
        "b=<s>",
    ]
    write_config(tmp_path, texts)
    assert read_overrides(tmp_path) == [
        ("model.depth", 10), ("optimizer.lr", 0.001), ("x.y", "a b"), ("train.decay_biases", False), ("k", "[1, 2]"),
        ("a", "null"), ("b", "<s>"),
    ]  # fmt: skip


def test_a_row_describes_the_run(tmp_path):
    (run,) = make_sweep(tmp_path, [["activation=relu", "seed=3"]], accuracy=lambda number: 0.25)
    rows = [(0, 2.0, 0.1, 3.0), (10, 0.5, 0.7, 0.9), (20, "nan", "", "inf")]
    text = "step,train_loss,eval_accuracy,eval_loss\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    (run / "metrics.csv").write_text(text)
    row = read_row(run, name="r")
    assert row["run"] == "r"
    assert (row["activation"], row["seed"], row["status"], row["eval_accuracy"]) == ("relu", "3", "completed", "0.25")
    assert [row[f"best_{name}"] for name in ("train_loss", "eval_accuracy", "eval_loss")] == ["0.5", "0.7", "0.9"]
    assert (row["verdict_initial"], row["gradient_ratio_final"], row["decades_per_layer_final"]) == (
        "healthy",
        "1.0",
        "0.1",
    )


def test_a_row_has_the_number_that_hydra_gave_the_run(tmp_path):
    """With a hydra.yaml as Hydra writes it."""
    hydra = tmp_path / ".hydra"
    hydra.mkdir()
    content = {"mode": "MULTIRUN", "job": {"name": "gradlab", "config": {"x": {"num": 9}}, "id": "12", "num": 12}}
    OmegaConf.save(OmegaConf.create({"hydra": content}), hydra / "hydra.yaml")
    assert read_row(tmp_path, name="r")["job"] == "12"
    (hydra / "hydra.yaml").write_text("hydra:\n  job:\n    name: gradlab\n  other:\n    num: 3\n")
    assert read_row(tmp_path, name="r")["job"] == ""


def test_verdicts_over_time_have_columns_of_their_own(tmp_path):
    verdicts = [
        {"when": "final", "step": 9, "name": "healthy", "sentence": ""},
        {"when": "final", "over": "time", "name": "vanishing", "sentence": ""},
    ]
    (tmp_path / "run.json").write_text(json.dumps({"status": "completed", "verdicts": verdicts}))
    row = read_row(tmp_path, name="r")
    assert (row["verdict_final"], row["verdict_final_time"]) == ("healthy", "vanishing")


def test_the_rate_that_a_range_test_chose_has_a_column(tmp_path):
    (run,) = make_sweep(tmp_path, [["optimizer.lr=auto"]])
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"lr_range": {"suggestion": 0.25}}))
    assert read_row(run, name="r")["lr_suggested"] == "0.25"


def test_a_killed_run_is_unfinished(tmp_path):
    write_config(tmp_path, ["seed=2"])
    row = read_row(tmp_path, name="r")
    assert (row["status"], row["seed"], row["error"]) == ("unfinished", "2", "it left no readable run.json")


def test_runs_added_one_by_one_give_the_same_table_as_all_at_once(tmp_path):
    runs = make_sweep(
        tmp_path, [[f"activation={name}", f"seed={seed}"] for name in ("relu", "tanh") for seed in (0, 1, 2)]
    )
    for run in runs:
        add_run(tmp_path, run)
    grown = [read_rows(tmp_path / name) for name in (SUMMARY, BY_CONFIG)]
    add_run(tmp_path, runs[2])
    summarize(tmp_path, runs)
    assert [read_rows(tmp_path / name) for name in (SUMMARY, BY_CONFIG)] == grown
    assert [row["run"] for row in grown[0][1]] == [f"run{number}" for number in range(6)]
    assert [(row["activation"], row["n"]) for row in grown[1][1]] == [("relu", "3"), ("tanh", "3")]


def test_a_repeated_run_replaces_its_row(tmp_path):
    runs = make_sweep(tmp_path, [[f"x='{number}, {number}'"] for number in range(12)], status=lambda number: "failed")
    for run in runs:
        add_run(tmp_path, run)
    record = json.loads((runs[1] / "run.json").read_text())
    (runs[1] / "run.json").write_text(json.dumps(record | {"status": "completed", "error": None}))
    add_run(tmp_path, runs[1])
    rows = read_rows(tmp_path / SUMMARY)[1]
    assert [row["run"] for row in rows] == [run.name for run in runs]
    assert [row["status"] for row in rows].count("completed") == 1
    assert rows[1]["x"] == "1, 1"


def test_runs_that_end_together_give_the_same_tables_as_one_after_the_other(tmp_path, capsys):
    runs = make_sweep(tmp_path, [[f"activation={name}", "seed=0"] for name in ("relu", "tanh", "selu")])
    add_run(tmp_path, runs[0])
    with together(tmp_path):
        for run in reversed(runs):
            add_run(tmp_path, run)
        assert len(read_rows(tmp_path / SUMMARY)[1]) == 1
    grown = {run["run"]: run for run in read_rows(tmp_path / SUMMARY)[1]}
    counts = [row["n"] for row in read_rows(tmp_path / BY_CONFIG)[1]]
    assert counts == ["1"] * 3
    summarize(tmp_path, runs)
    assert grown == {run["run"]: run for run in read_rows(tmp_path / SUMMARY)[1]}
    (tmp_path / "other" / SUMMARY).mkdir(parents=True)
    with together(tmp_path / "other"):
        add_run(tmp_path / "other", runs[0])
    assert capsys.readouterr().err.startswith("gradlab: summary.csv lacks runs: IsADirectoryError")
    add_run(tmp_path, runs[0])


def test_a_key_that_only_later_runs_override_gets_a_column(tmp_path):
    first, second = make_sweep(tmp_path, [["model.width=3"], ["activation=tanh"]])
    add_run(tmp_path, first)
    add_run(tmp_path, second)
    assert read_rows(tmp_path / SUMMARY)[0][:3] == ["run", "model.width", "activation"]
    summarize(tmp_path, [first, second])
    found = [(row["model.width"], row["activation"]) for row in read_rows(tmp_path / SUMMARY)[1]]
    assert found == [("3", "relu"), ("128", "tanh")], "what a run did not override is looked up in its config"


def test_runs_of_two_sweeps_have_different_names(tmp_path):
    runs = [run for name in "ab" for run in make_sweep(tmp_path / name, [["seed=1"]])]
    summarize(tmp_path, runs)
    assert [(row["run"], row["sweep"]) for row in read_rows(tmp_path / SUMMARY)[1]] == [
        ("a/run0", "a"),
        ("b/run0", "b"),
    ]


def test_no_row_is_lost_when_many_processes_add_runs_at_once(tmp_path):
    runs = make_sweep(tmp_path, [[f"seed={seed}"] for seed in range(60)], steps=())
    code = (
        "import sys; from pathlib import Path; from gradlab.sweep.summary import add_run\n"
        "for run in sys.argv[2:]: add_run(Path(sys.argv[1]), Path(run))"
    )
    processes = [Popen([sys.executable, "-c", code, str(tmp_path), *map(str, runs[part::3])]) for part in range(3)]
    while any(process.poll() is None for process in processes):
        columns, rows = read_rows(tmp_path / SUMMARY)  # whole at every moment
        assert all(len(row) == len(columns) and row["status"] == "completed" for row in rows)
        time.sleep(0.01)
    assert not any(process.returncode for process in processes)
    assert sorted(int(row["seed"]) for row in read_rows(tmp_path / SUMMARY)[1]) == list(range(60))


def test_quantiles_are_numpys_and_nan_is_the_worst():
    values = [random.Random(7).gauss(0, 1) for _ in range(11)]
    for share in (0, 0.25, 0.5, 0.75, 1):
        assert quantile(values, share) == pytest.approx(np.quantile(values, share), rel=1e-12)
        assert quantile(values[:4], share) == pytest.approx(np.quantile(values[:4], share), rel=1e-12)
    assert quantile([nan, 1.0, 3.0], 0.5) == 3
    assert quantile([inf, inf], 0.5) == inf
    assert isnan(quantile([nan, nan, 1.0], 0.75))


def test_configs_are_aggregated_over_their_seeds(tmp_path):
    runs = make_sweep(
        tmp_path, [["a=1", f"seed={seed}"] for seed in range(5)] + [["a=2", "seed=0"]],
        accuracy=lambda number: [0.1, 0.9, 0.5, 0.4, 0.3, 0.8][number],
        status=lambda number: "failed" if number == 4 else "diverged" if number == 3 else "completed",
    )  # fmt: skip
    summary = summarize(tmp_path, runs)
    first, second = aggregate(summary.columns, summary.rows)[1]
    assert [first[name] for name in ("n", "completed", "diverged", "failed")] == ["5", "3", "1", "1"]
    quartiles = [float(first[f"eval_accuracy_{part}"]) for part in ("q1", "median", "q3")]
    assert quartiles == pytest.approx(np.quantile([0.1, 0.9, 0.5, 0.4], [0.25, 0.5, 0.75]).tolist())
    assert (second["n"], second["eval_accuracy_median"]) == ("1", "0.8")


def test_a_further_run_costs_the_same_in_a_sweep_of_thousands(tmp_path):
    """A row is inserted into the table's text, because rewriting the whole table for each run would take minutes."""

    def calls(before):
        folder = tmp_path / str(before)
        (run,) = make_sweep(folder, [["seed=0"]])
        columns, rows = summarize(folder, [run]).columns, summarize(folder, [run]).rows
        with (folder / SUMMARY).open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows({**rows[0], "run": f"old{number}"} for number in range(before))
        (folder / BY_CONFIG).unlink()
        add_run(folder, run)
        again = python_calls(add_run, folder, run)
        assert len(read_rows(folder / SUMMARY)[1]) == before + 1
        return again

    assert calls(2000) < 1.2 * calls(20)
