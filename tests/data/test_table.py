import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from gradlab.data.table import table
from gradlab.data.units import units


@pytest.fixture
def csv(tmp_path):
    """Write columns to a file and return its path."""

    def write(separator=",", **columns):
        path = tmp_path / "table.csv"
        pd.DataFrame(columns).to_csv(path, index=False, sep=separator)
        return str(path)

    return write


RNG = np.random.default_rng(0)
X, Y = RNG.normal(5, 2, 50), RNG.normal(-1, 3, 50)
WORDS = ["red", "green", "blue", "red", "red"] * 10


@pytest.mark.parametrize(
    ("target", "task", "outputs"),
    [
        (["b", "a", "c", "a", "b"] * 10, "classification", 3),
        ([True, False, False, True, True] * 10, "classification", 2),
        ([3, 7, 7, 3, 5] * 10, "classification", 3),
        (list(range(50)), "regression", 1),
        ([0.0, 1.0, 1.0, 0.0, 1.0] * 10, "regression", 1),
    ],
)
def test_the_task_is_found_from_the_target(csv, target, task, outputs):
    data = table(path=csv(x=X, y=Y, t=target), target="t", standardize_target=False)
    assert (data.task, data.outputs, data.input_shape) == (task, outputs, (2,))
    assert (len(data.train_inputs), len(data.test_inputs)) == (40, 10)
    names = sorted(set(target))
    wanted = {(round(x, 4), names.index(t) if task == "classification" else t) for x, t in zip(X, target, strict=True)}
    raw = table(path=csv(x=X, y=Y, t=target), target="t", standardize=False, standardize_target=False)
    found = {
        (round(x, 4), t)
        for part in ("train", "test")
        for x, t in zip(
            getattr(raw, f"{part}_inputs")[:, 0].tolist(),
            getattr(raw, f"{part}_targets").flatten().tolist(),
            strict=True,
        )
    }
    assert {t for _, t in found} == {t for _, t in wanted}
    for x, t in found:
        assert min(abs(x - other) for other, value in wanted if value == t) < 1e-3


def test_the_task_can_be_said(csv):
    numbers = csv(x=X, t=[3, 7, 7, 3, 5] * 10)
    assert table(path=numbers, target="t", task="regression").task == "regression"
    many = csv(x=X, t=list(range(25)) * 2)
    assert table(path=many, target="t", task="classification").outputs == 25
    with pytest.raises(ValueError, match="task: column 't' holds words"):
        table(path=csv(x=X, t=WORDS), target="t", task="regression")


def test_inputs_and_values_are_standardised_by_the_training_rows(csv):
    path = csv(x=X, y=Y, t=Y * 100)
    raw = table(path=path, target="t", standardize=False, standardize_target=False)
    data = table(path=path, target="t", scale=3.0)
    for part in ("inputs", "targets"):
        train, test = getattr(raw, f"train_{part}"), getattr(raw, f"test_{part}")
        mean, std = train.mean(0), train.std(0, correction=0)
        factor = 3 if part == "inputs" else 1
        torch.testing.assert_close(getattr(data, f"train_{part}"), factor * (train - mean) / std)
        torch.testing.assert_close(getattr(data, f"test_{part}"), factor * (test - mean) / std)
        assert getattr(data, f"test_{part}").dtype == torch.float32


def test_words_become_one_input_each_and_columns_can_be_left_out(csv):
    path = csv(color=WORDS, flag=[True, False] * 25, name=[f"row {i}" for i in range(50)], x=X)
    data = table(path=path, target="x", drop=["name"], standardize=False)
    assert data.input_shape == (4,)
    rows = torch.cat([data.train_inputs, data.test_inputs])
    assert set(rows.unique().tolist()) == {0.0, 1.0}
    assert (rows[:, 1:].sum(1) == 1).all()
    assert sorted(rows[:, 1:].sum(0).tolist()) == [10, 10, 30]


def test_spaces_after_separators_and_numbers_of_more_than_64_bits_are_read(tmp_path):
    (tmp_path / "spaced.csv").write_text("x, y\n" + "".join(f"{i}{'0' * 24}, {i / 3}\n" for i in range(1, 11)))
    data = table(path=str(tmp_path / "spaced.csv"), target="y", standardize=False, scale=1e-24)
    assert data.task == "regression"
    assert sorted(torch.cat([data.train_inputs, data.test_inputs]).flatten().tolist()) == pytest.approx(range(1, 11))


def test_the_split_follows_its_own_seed(csv):
    path = csv(x=X, t=Y)
    first, again, other = (table(path=path, target="t", split_seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.test_inputs, again.test_inputs)
    assert not torch.equal(first.test_inputs, other.test_inputs)
    assert len(table(path=path, target="t", test_fraction=0.5).test_inputs) == 25


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"x": X, "price": Y}, {"target": "prise"}, r"target: \S+ has no column 'prise'; did you mean price\?"),
        ({"x": X, "price": Y}, {"target": "qqq"}, r"has no column 'qqq'; its columns: x, price"),
        ({"x": X, "t": Y}, {"drop": ["y"]}, r"drop: \S+ has no column 'y'; its columns"),
        ({"x": [1.0, None, 3.0] * 5, "t": range(15)}, {}, r"5 missing cells \(5 empty\), lines 3, 6, 9"),
        ({"x": [1.0, np.inf, 3.0] * 5, "t": range(15)}, {}, "column 'x' holds values that are infinite"),
        ({"x": [1.0, 1e300, 3.0] * 5, "t": range(15)}, {}, r"column 'x' holds .* beyond 1e\+150; rescale it"),
        ({"x": X, "t": Y}, {"separator": ""}, "separator must be at least one character"),
        ({"x": range(15), "t": np.arange(15) / 7}, {"task": "classification"}, "different value in every row, so no"),
        ({"x": [1] * 15, "t": range(15)}, {}, r"column 'x' has the same .*; leave it out: data.drop=\[x\]"),
        ({"x": range(15), "t": [1] * 15}, {}, "column 't' has the same value in every row$"),
        ({"x": range(2), "t": range(2)}, {}, "too few rows: 2, of which test_fraction=0.2 takes 1"),
        ({"t": range(15)}, {}, "only one column, so nothing to predict t from; check data.separator"),
        ({"x": [f"w{i}" for i in range(150)], "t": range(150)}, {}, "column 'x' has 150 distinct words, too many"),
    ],
)  # fmt: skip
def test_unusable_columns_are_reported_in_one_line(csv, columns, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        table(**{"path": csv(**columns), "target": "t"} | options)
    assert "\n" not in str(caught.value)


def test_missing_files_and_files_that_are_no_tables_are_reported_in_one_line(tmp_path):
    with pytest.raises(ValueError, match="path: there is no file"):
        table(path=str(tmp_path / "a.csv"), target="t")
    (tmp_path / "b.csv").write_text("")
    with pytest.raises(ValueError, match=r"path: cannot read .*b.csv: No columns") as caught:
        table(path=str(tmp_path / "b.csv"), target="t")
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="path: cannot read"):
        table(path=str(tmp_path), target="t")


def write(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    return str(tmp_path / "t.csv")


ROWS = "".join(f"{i},{i % 7},{i * 1.5}\n" for i in range(20))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n" + ROWS, "line 2 has 3 cells, and the first line names 2 columns"),
        ("a,b,y\n" + ROWS + "\n1,2,3,4\n", "line 23 has 4 cells, and the first line names 3 columns"),
        ("a,b,y\n" + ROWS + '"1\n2",2,3\n1,2,3,4\n', "line 24 has 4 cells"),
        ("a,a,y\n" + ROWS, "two columns are called 'a'; rename one"),
        ("y,b,y\n" + ROWS, "two columns are called 'y'; rename one"),
        ("y,b, y \n" + ROWS, "two columns are called 'y'; rename one"),
        ("a,b,y\n", "has no rows, only the names of 3 columns"),
        ("a,b,y\n" + "1,,2\n3,,4\n" * 9, r"column 'b' has no values; leave it out: data.drop=\[b\]"),
        ("a,b,y\n" + ROWS + "1,NA,3\n2,,4\n3,None,5\n",
         r"'b' has 3 missing cells \(1 'NA', 1 empty, 1 'None'\), lines 22, 23, 24;"),
    ],
)  # fmt: skip
def test_rows_and_names_that_do_not_fit_are_refused_with_their_lines(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        table(path=write(tmp_path, text), target="y")
    assert "\n" not in str(caught.value)


def test_missing_cells_are_dropped_or_filled_with_the_mean_of_the_training_rows(tmp_path):
    rows = "".join(f"{i},{i % 7},{'uv'[i % 2]},{i / 3}\n" for i in range(20))
    path = write(tmp_path, f"a,b,w,y\n{rows}5,NA,,9\n,3,u,8\n")
    with pytest.raises(ValueError, match="drop leaves out their rows, mean puts the column's mean"):
        table(path=path, target="y")
    dropped = table(path=path, target="y", missing="drop")
    assert len(dropped.train_inputs) + len(dropped.test_inputs) == 20
    assert dropped.warnings[-1] == f"{path}: data.missing=drop left out 2 of 22 rows"
    assert f"{path}: column 'b' has 1 missing cells (1 'NA'), line 22" in dropped.warnings
    filled = table(path=path, target="y", missing="mean", standardize=False, standardize_target=False)
    assert len(filled.train_inputs) + len(filled.test_inputs) == 22
    inputs, targets = (torch.cat(parts) for parts in ((filled.train_inputs, filled.test_inputs),
                                                      (filled.train_targets, filled.test_targets)))  # fmt: skip
    rows = dict(zip(targets.flatten().tolist(), inputs, strict=True))
    train = filled.train_inputs[:, 1][filled.train_targets[:, 0] != 9]
    assert rows[9.0][1] == pytest.approx(float(train.mean()), rel=1e-5)
    assert rows[9.0][2:].tolist() == [0, 0]  # a missing word is none of the words
    assert rows[8.0][2:].tolist() == [1, 0]
    with pytest.raises(ValueError, match=r"'b' has 1 missing cells .* a target has no mean to put"):
        table(path=path, target="b", missing="mean")
    assert table(path=path, target="b", missing="drop").task == "classification"  # whole numbers stay whole


def test_a_word_among_numbers_is_said_with_its_line(tmp_path):
    lines = [f"{i % 9},{i / 3}" for i in range(20)]
    lines[3] = "oops,1"
    data = table(path=write(tmp_path, "a,y\n" + "\n".join(lines)), target="y")
    said = "column 'a' holds words, because 1 of its 20 cells are no numbers (1 'oops'), line 5"
    assert [line.partition("t.csv: ")[2] for line in data.warnings] == [said]
    words = "".join(f"{'rg'[i % 2]},{i / 3}\n" for i in range(9))
    assert table(path=write(tmp_path, f"a,y\n{words}"), target="y").warnings == ()


def test_what_is_odd_about_the_data_is_in_run_json(run, tmp_path):
    text = "a,y\n" + "".join(f"{i % 9},{i / 3}\n" for i in range(30)) + "none,3\n,4\n"
    path = write(tmp_path, text)
    done = run("data=table", f"data.path={path}", "data.target=y", "data.missing=drop", "model.depth=1",
               "model.width=4", "train.steps=3", "train.eval_every=0")  # fmt: skip
    warnings = json.loads((done.folder / "run.json").read_text())["warnings"]
    assert [line.partition("t.csv: ")[2] for line in warnings] == [
        "column 'a' has 1 missing cells (1 empty), line 33",
        "data.missing=drop left out 1 of 32 rows",
        "column 'a' holds words, because 1 of its 31 cells are no numbers (1 'none'), line 32",
    ]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", ["table", "line"])
def test_a_regression_trains_at_the_defaults_and_is_reported_in_its_own_units(run, csv, kind, seed):
    rng = np.random.default_rng(seed)
    a, b, c = rng.standard_normal((3, 400))
    y = 100 * (2 * a - b + np.sin(2 * c)) + 7
    options = ["data=table", f"data.path={csv(a=a, b=b, c=c, y=y)}", "data.target=y"]
    if kind == "line":
        options = ["data=linear_regression", "data.slope=300", "data.noise=30"]
    done = run(*options, f"seed={seed}", "train.steps=150", "probe.every=150")
    record = json.loads((done.folder / "run.json").read_text())
    metrics = record["metrics"]
    assert record["status"] == "completed"
    assert metrics["eval_r2"] > 0.8
    unit = {"table": y.std(), "line": 300.0}[kind]
    assert metrics["eval_rmse"] == pytest.approx(unit * np.sqrt(metrics["eval_loss"]), rel=0.15)


def test_the_units_of_a_regression_are_those_of_the_file(csv):
    path = csv(x=X, t=Y * 100)
    data, raw = (table(path=path, target="t", standardize_target=chosen) for chosen in (True, False))
    loss = F.mse_loss(torch.zeros_like(data.test_targets), data.test_targets)  # of predicting the training mean
    original = F.mse_loss(torch.full_like(raw.test_targets, float(raw.train_targets.mean())), raw.test_targets)
    found, plain = units(data).metrics(float(loss)), units(raw).metrics(float(original))
    assert found["eval_rmse"] == pytest.approx(float(original) ** 0.5, rel=1e-5)
    assert plain["eval_rmse"] == pytest.approx(found["eval_rmse"], rel=1e-5)
    assert found["eval_r2"] == pytest.approx(plain["eval_r2"], abs=1e-5)
    variance = raw.test_targets.double().var(correction=0)
    assert found["eval_r2"] == pytest.approx(float(1 - original / variance), abs=1e-5)
    assert units(data).metrics(float("nan")) == units(data).metrics(None) == {"eval_rmse": None, "eval_r2": None}
    assert units(table(path=csv(x=X, t=WORDS), target="t")) is None


def test_a_table_trains_from_the_command_line(run, csv):
    y = 3 * X - 2 * (np.array(WORDS) == "red") + 0.01 * Y
    path = csv(separator=";", x=X, color=WORDS, price=y)
    done = run("data=table", f"data.path={path}", "data.target=price", "data.separator=';'", "model=linear",
               "train.steps=200", "optimizer.lr=0.05")  # fmt: skip
    assert done.metrics.eval_loss.iloc[-1] < 0.01
