import json
import os
from collections import Counter

import pytest
from tests.support.made_up import make_sweep
from tests.support.waiting import wait_until

from gradlab.artifacts.atomic import write_json
from gradlab.artifacts.lock import holding
from gradlab.launch.progress import abandon, following, progress_line
from gradlab.sweep.summary import BY_CONFIG, SUMMARY, add_run, read_rows


def begin(folder, **record):
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "hydra.yaml").touch()
    if record:
        (folder / "run.json").write_text(json.dumps(record))


def test_the_line_counts_done_and_remaining_runs():
    counts = Counter(completed=8, diverged=1, failed=1)
    assert progress_line(counts, total=40, seconds=6.0) == "9 done, 1 failed, 30 left, about 3 min to go"
    assert progress_line(counts, total=40) == "9 done, 1 failed, 30 left"
    assert progress_line(Counter(completed=4), total=4, seconds=1.0) == "4 done, 0 failed, 0 left"


def test_runs_are_followed_through_their_files(tmp_path, capsys):
    folders = [tmp_path / name for name in ("a", "b", "c", "old", "again")]
    begin(folders[4], status="failed", error="in an earlier sweep; it is being done again")
    begin(folders[3], status="completed")  # of an earlier sweep: it will be done again
    for folder in folders[3:]:
        os.utime(folder / "run.json", (4e9, 4e9))  # no clock decides
    with following(folders, every=0.01):
        begin(folders[0], status="completed")
        os.utime(folders[0] / "run.json", (0, 0))
        begin(folders[2])
        # the time of the first run, with the start of the processes, is no measure of the others
        wait_until(lambda: capsys.readouterr().out == "1 done, 0 failed, 4 left\n")
        begin(folders[1], status="failed", error="it broke")
        wait_until(lambda: "1 done, 1 failed, 3 left, about" in capsys.readouterr().out)
        write_json(folders[4] / "run.json", {"status": "completed"})
        wait_until(lambda: "2 done, 1 failed, 2 left, about" in capsys.readouterr().out)


def test_an_interrupt_prints_how_to_resume(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt), following([tmp_path / "sweep" / "a"]):
        raise KeyboardInterrupt
    assert f"with hydra.sweep.dir={tmp_path / 'sweep'} to run the rest" in capsys.readouterr().err


def test_after_an_interrupt_the_summary_has_the_finished_runs(tmp_path, capsys):
    folders = make_sweep(tmp_path, [["activation=relu"], ["activation=tanh"], ["activation=selu"]])
    add_run(tmp_path, folders[0])
    (folders[2] / "run.json").unlink()
    with pytest.raises(KeyboardInterrupt), following(folders):
        raise KeyboardInterrupt
    assert [row["activation"] for row in read_rows(tmp_path / SUMMARY)[1]] == ["relu", "tanh"]
    assert [row["activation"] for row in read_rows(tmp_path / BY_CONFIG)[1]] == ["relu", "tanh"]
    (tmp_path / SUMMARY).unlink()
    (tmp_path / SUMMARY).mkdir()
    with pytest.raises(KeyboardInterrupt), following(folders):
        raise KeyboardInterrupt
    assert capsys.readouterr().err.splitlines()[-1].startswith("gradlab: summary.csv lacks runs: ")


def test_only_an_unfinished_run_is_recorded_as_lost(tmp_path):
    begin(tmp_path / "killed")
    begin(tmp_path / "done", status="completed")
    begin(tmp_path / "elsewhere")
    with holding(tmp_path / "elsewhere"):
        abandon(tmp_path / "elsewhere", "its process was lost")
    assert not (tmp_path / "elsewhere" / "run.json").exists()
    for name in ("killed", "done", "never"):
        abandon(tmp_path / name, "its process was lost")
    assert json.loads((tmp_path / "killed" / "run.json").read_text()) == {
        "status": "failed",
        "error": "its process was lost",
    }
    assert json.loads((tmp_path / "done" / "run.json").read_text()) == {"status": "completed"}
    assert json.loads((tmp_path / "never" / "run.json").read_text())["status"] == "failed"
