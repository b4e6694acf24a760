"""The shape of the house; who may import whom is checked by `lint-imports`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import gradlab

SOURCE = Path(gradlab.__file__).parent


def test_modules_stay_small():
    long = {path.name: n for path in SOURCE.rglob("*.py") if (n := len(path.read_text().splitlines())) > 300}
    assert not long


def test_only_build_instantiates_configs():
    users = [path.name for path in SOURCE.rglob("*.py") if re.search(r"import .*\binstantiate\b", path.read_text())]
    assert users == ["factories.py"]


def test_import_contracts_hold():
    pytest.importorskip("importlinter")
    command = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, cwd=SOURCE.parents[1])
    assert done.returncode == 0, done.stdout


def test_importing_gradlab_imports_no_torch():
    code = "import gradlab, sys; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
