"""A repeated sweep launches only the runs that its folder does not hold."""

import json
from pathlib import Path

import pytest
import yaml

from gradlab.cli import main

SMALL = ("train=smoke", "train.steps=2", "train.eval_every=0", "model.depth=3", "model.width=8", "figures=false")


@pytest.fixture
def sweep(tmp_path, monkeypatch, capfd):
    """Return a function that runs a sweep in this process, and returns its output and the time of each table."""
    monkeypatch.chdir(tmp_path)

    def do(*more: str) -> tuple[str, dict[str, int]]:
        monkeypatch.setattr("sys.argv", ["gradlab", "-m", "hydra.sweep.dir=s", "seed=0,1", *SMALL, *more])
        with pytest.raises(SystemExit) as left:
            raise SystemExit(main())
        out = capfd.readouterr().out + f"exit {left.value.code or 0}"
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
