"""The draw of scripts/check_theory.py, its seed fixed."""

import importlib.util
import random
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_theory.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("check_theory", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def misses(script, folder, *, configs, seed, **sizes):
    """Return the networks on which theory and measurement disagree, and how many were judged."""
    numbers = random.Random(seed)
    missed, judged = [], 0
    for number in range(configs):
        overrides = script.draw(numbers, **sizes)
        word, figures = script.line(script.measure(overrides, folder / str(number)))
        judged += word in ("agrees", "MISS")
        missed += [f"{figures} {overrides}"] if word == "MISS" else []
    return missed, judged


@pytest.mark.slow
def test_a_few_random_networks_agree(script, tmp_path):
    missed, judged = misses(script, tmp_path, configs=6, seed=3, widths=(256, 300), depths=(30, 40))
    assert judged == 6
    assert missed == []


@pytest.mark.slow
def test_sixty_random_networks_agree(script, tmp_path):
    missed, judged = misses(script, tmp_path, configs=60, seed=0)
    print(*missed, sep="\n")
    assert judged >= 50  # what theory does not cover, or what is too narrow to tell, it says
    assert len(missed) <= 0.05 * judged
