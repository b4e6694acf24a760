"""The labelled configs, one seed of each: the whole of scripts/bench_diagnosis.py takes three."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_diagnosis.py"


@pytest.mark.slow
@pytest.mark.parametrize("which", [[], ["--held-out"]])
def test_no_fault_is_missed_and_none_made_up(which):
    done = subprocess.run([sys.executable, str(SCRIPT), "--seeds", "0", *which], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
