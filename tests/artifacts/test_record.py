"""Reader of run.json, and of the first and last rows of a table."""

import pytest

from gradlab.artifacts.read import read_first_and_last
from gradlab.artifacts.record import UNFINISHED, load_run, read_run, unreadable, write_run


def test_a_record_is_read_as_it_was_written(tmp_path):
    record = {"status": "failed", "error": "no", "seconds": 1.5}
    write_run(tmp_path, record)
    assert load_run(tmp_path) == read_run(tmp_path) == record


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_broken_record_is_refused_or_left_out(tmp_path, text):
    (tmp_path / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="broken"):
        load_run(tmp_path)
    assert read_run(tmp_path) is None


def test_the_first_and_the_last_step_keep_their_kinds_of_cell(tmp_path):
    table = tmp_path / "gradients.csv"
    table.write_text('step,depth_index,layer,x\n0,1,"a,b",\n0,2,c,nan\n10,1,a,1.0\n100,1,a,inf\n100,2,c,1e-300\n')
    first, last = read_first_and_last(table)
    assert [tuple(row.values())[:3] for row in first] == [(0, 1, "a,b"), (0, 2, "c")]
    assert first[0]["x"] is None
    assert first[1]["x"] != first[1]["x"]
    assert last == [
        {"step": 100, "depth_index": 1, "layer": "a", "x": float("inf")},
        {"step": 100, "depth_index": 2, "layer": "c", "x": 1e-300},
    ]


def test_a_table_without_rows_has_no_first_step(tmp_path):
    assert read_first_and_last(tmp_path / "none.csv") == ([], [])
    (tmp_path / "empty.csv").write_text("step,x\n")
    assert read_first_and_last(tmp_path / "empty.csv") == ([], [])


def test_a_broken_row_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("step,x\n0,1\n10\n")
    with pytest.raises(ValueError, match="step 10: 1 cells instead of 2"):
        read_first_and_last(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("null", "not an object"),
        ("[" * 100_000, "nested too deeply"),
        ('{"status": 5}', "status must be a string"),
        ('{"steps": 1e3}', "steps must be an integer"),
        ('{"steps": 100000000000000000000}', "steps must be an integer"),
        ('{"metrics": [1]}', "metrics must be an object"),
        ('{"metrics": {"train_loss": "low"}}', "metrics.train_loss must be a number"),
        ('{"verdicts": [{"root_cause": true}]}', "verdicts.0 lacks when"),
        ('{"verdicts": [{"when": "final", "name": "x", "sentence": null}]}', "verdicts.0.sentence must be a string"),
        ('{"warnings": ["a", {}]}', "warnings.1 must be a string"),
    ],
)
def test_what_does_not_fit_its_readers_is_named(tmp_path, text, problem):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=problem):
        load_run(tmp_path)
    assert read_run(tmp_path) is None
    assert problem in (unreadable(tmp_path) or "")


def test_keys_may_be_missing_null_or_new(tmp_path):
    (tmp_path / "run.json").write_text('{"seed": null, "metrics": {"train_loss": "nan"}, "of_a_later_version": [1]}')
    assert load_run(tmp_path)["status"] == UNFINISHED
    assert unreadable(tmp_path) is None
