import numpy as np
import pandas as pd
import pytest
import torch

from gradlab.data.table import table


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
        ({"x": [1.0, None, 3.0] * 5, "t": range(15)}, {}, r"5 empty cells in column 'x', the first in line 3"),
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


def test_a_table_trains_from_the_command_line(run, csv):
    y = 3 * X - 2 * (np.array(WORDS) == "red") + 0.01 * Y
    path = csv(separator=";", x=X, color=WORDS, price=y)
    done = run("data=table", f"data.path={path}", "data.target=price", "data.separator=';'", "model=linear",
               "train.steps=200", "optimizer.lr=0.05")  # fmt: skip
    assert done.metrics.eval_loss.iloc[-1] < 0.01
