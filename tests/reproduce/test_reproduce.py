"""scripts/reproduce.py as it is called."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def reproduce(*arguments):
    command = [sys.executable, ROOT / "scripts" / "reproduce.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=3000, check=False, cwd=ROOT)


@pytest.mark.slow
def test_one_experiment_by_name(tmp_path):
    done = reproduce("yang_batch_norm", "--quick", "--into", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("  within: dL/dh per layer going back") == 2
    page = (tmp_path / "quick" / "results.md").read_text()
    assert "| dL/dh per layer going back, He | 1.2112 ± 0.02 | 1.2" in page
    assert "2 runs" in page


@pytest.mark.slow
def test_the_small_versions_show_what_was_published(tmp_path):
    done = reproduce("--quick", "--into", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OUTSIDE" not in done.stdout
