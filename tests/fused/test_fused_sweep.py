"""A sweep under the fused launcher, as a real process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SMALL = ("train=smoke", "train.steps=3", "train.eval_every=0", "model.width=8", "figures=false")


def command(*arguments: str) -> list[str]:
    own = ("-m", "gradlab.cli", "-m", "hydra/launcher=fused", "hydra.sweep.dir=s", *SMALL)
    return [sys.executable, *own, *arguments]


def sweep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command(*arguments), cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


def records(folder: Path) -> dict[str, dict]:
    return {path.parent.name: json.loads(path.read_text()) for path in (folder / "s").glob("*/run.json")}


def test_runs_of_one_shape_are_fused_and_the_others_run_alone_and_are_reported(tmp_path):
    runs = ("seed=0,1", "train.accumulate=1,2")
    done = sweep(tmp_path, *runs, "model.depth=3", "model.block_depth=0,1")
    assert done.returncode == 1  # model.block_depth=0 fails, alone, as under any launcher
    found = records(tmp_path)
    failed = [record for record in found.values() if record["status"] == "failed"]
    assert [len(found), len(failed)] == [8, 4]
    assert all("block_depth must be at least 1" in record["error"] for record in failed)
    fused = [record for record in found.values() if record.get("fused")]
    assert [record["fused"] for record in fused] == [2, 2]
    assert done.stdout.count("runs alone: train.accumulate=2") == 4
    assert (tmp_path / "s" / "summary.csv").read_text().count("\n") == 9


@pytest.mark.slow
def test_a_killed_sweep_does_only_what_is_missing(tmp_path):
    runs = ("model.depth=2,3", "seed=0,1", "train.steps=3,100000")
    process = subprocess.Popen(command(*runs), cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 300
    while len(records(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {name for name, record in records(tmp_path).items() if record["status"] == "completed"}
    assert finished
    again = sweep(tmp_path, "model.depth=2,3", "seed=0,1", "train.steps=3")
    assert again.returncode == 0
    assert f"{len(finished)} of 4 runs are complete already" in again.stdout
    assert len(records(tmp_path)) == 4
