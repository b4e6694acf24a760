"""A repeated sweep launches only the runs that its folder does not hold."""

import json
from pathlib import Path

import pytest
import yaml

from gradlab.artifacts import lock
from gradlab.artifacts.lock import holding
from gradlab.cli import main
from gradlab.config.run_name import run_name

SMALL = ("train=smoke", "train.steps=2", "train.eval_every=0", "model.depth=3", "model.width=8", "figures=false")

SMALL_AS_READ = (*SMALL[:-1], "figures=False")


@pytest.fixture
def sweep(tmp_path, monkeypatch, capfd):
    """Return a function that runs a sweep in this process, and returns its output and the time of each table."""
    monkeypatch.chdir(tmp_path)

    def do(*more: str) -> tuple[str, dict[str, int]]:
        monkeypatch.setattr("sys.argv", ["gradlab", "-m", "hydra.sweep.dir=s", "seed=0,1", *SMALL, *more])
        with pytest.raises(SystemExit) as left:
            raise SystemExit(main())
        printed = capfd.readouterr()
        out = printed.err + printed.out + f"exit {left.value.code or 0}"
        return out, {path.parent.name: path.stat().st_mtime_ns for path in Path("s").glob("*/gradients.csv")}

    return do


def test_only_missing_runs_are_launched_and_all_are_counted(sweep):
    _, before = sweep()
    failed = Path("s") / min(before) / "run.json"
    failed.write_text(json.dumps(json.loads(failed.read_text()) | {"status": "failed", "error": "a reason"}))
    out, after = sweep()
    assert "1 of 2 runs are complete already" in out
    assert "2 completed, 0 diverged, 0 failed: s" in out
    assert out.endswith("exit 0")
    assert [after[name] == before[name] for name in sorted(before)] == [False, True]


@pytest.mark.parametrize("launcher", ["serial", pytest.param("fused", marks=pytest.mark.slow)])
def test_runs_that_another_process_is_doing_are_left_to_it(sweep, launcher):
    _, before = sweep()
    first, second = (Path("s") / name for name in sorted(before))
    for path in (first, second):
        (path / "run.json").unlink()
        (path / "checkpoint.pt").unlink()
    with holding(second):
        out, after = sweep(f"hydra/launcher={launcher}")
    assert "1 of 2 runs are being done by another process" in out
    assert "1 completed, 0 diverged, 0 failed, 1 still being done by another process: s" in out
    assert out.endswith("exit 0")
    assert after[second.name] == before[second.name]
    assert (first / "run.json").exists()
    assert not (second / "run.json").exists()


@pytest.mark.parametrize("launcher", ["serial", "fused"])
def test_a_run_that_another_process_begins_meanwhile_is_skipped(sweep, launcher, monkeypatch):
    answers = iter([False, False])  # to the launcher; the count at the end sees what is true
    monkeypatch.setattr(lock, "is_held", lambda folder: next(answers, folder.name == second.name))
    first, second = (Path("s") / run_name([f"seed={seed}", *SMALL_AS_READ]) for seed in (0, 1))
    with holding(second):
        in_this_process = ["hydra.launcher.n_jobs=1"] if launcher == "fused" else []
        out, after = sweep(f"hydra/launcher={launcher}", *in_this_process)
    assert "skipped: " in out
    assert "1 completed, 0 diverged, 0 failed, 1 still being done by another process: s" in out
    assert set(after) == {first.name}


def test_two_runs_with_one_folder_are_refused_in_one_line(sweep, monkeypatch):
    monkeypatch.setattr("gradlab.config.run_name.MAX_LENGTH", 5)
    monkeypatch.setattr("gradlab.config.run_name.DIGITS", 0)
    monkeypatch.setattr("gradlab.config.run_name._EARLIER_DIGITS", 0)
    out, tables = sweep()
    line = next(line for line in out.splitlines() if "two runs have this folder" in line)
    assert line.startswith("gradlab: s/figur-: two runs have this folder, ")
    assert "seed=0" in line
    assert "seed=1" in line
    assert out.endswith("exit 1")
    assert tables == {}


def test_a_run_that_is_listed_twice_is_done_once(sweep):
    out, tables = sweep("seed=0,0")
    assert "1 completed, 0 diverged, 0 failed: s" in out
    assert len(tables) == 1


def test_a_run_with_another_gate_or_config_is_not_reused(sweep):
    _, before = sweep()
    for path in Path("s").glob("*/.hydra/config.yaml"):
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"gate": {"min_accuracy": 2.0}}))
    out, after = sweep()
    assert "complete already" not in out  # each run judges itself
    assert after == before
    for path in Path("s").glob("*/run.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": "another"}))
    _, again = sweep()
    assert all(again[name] > before[name] for name in before)
