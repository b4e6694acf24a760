"""The properties once more, on many more examples, which are others each time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_properties_hold_for_many_more_examples():
    environment = os.environ | {"HYPOTHESIS_PROFILE": "thorough"}
    command = [sys.executable, "-m", "pytest", "-q", Path(__file__).parent]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
