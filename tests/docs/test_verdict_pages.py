"""Every verdict has a page, which names its thresholds with their values and the run that its figure is from."""

import inspect
import re
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from gradlab.diagnosis.causes import FAULTS, RULES
from gradlab.diagnosis.flow import FLOW
from gradlab.diagnosis.thresholds import Thresholds

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from bench_cases import CASES as LABELLED  # noqa: E402
from bench_cases import HELD_OUT  # noqa: E402
from docs_cases import CASES  # noqa: E402

PAGES = ROOT / "docs" / "verdicts"
NAMES = sorted({*FLOW, *FAULTS})
LIMITS = asdict(Thresholds())
NAMED = re.compile(r"diagnosis\.(\w+)=([\d.e-]*\d)")
OF_RULES = {rule.__name__: set(re.findall(r"limits\.(\w+)", inspect.getsource(rule))) for rule in RULES}
OF_FLOW = {
    "vanishing": {"vanishing_ratio"},
    "exploding": {"exploding_ratio"},
    "healthy": {"vanishing_ratio", "exploding_ratio"},
}


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def test_pages_are_those_of_the_verdicts():
    assert sorted(path.stem for path in PAGES.glob("*.md") if path.stem != "index") == NAMES
    assert sorted(CASES) == NAMES


def test_the_index_links_every_page():
    text = page("index")
    assert [name for name in NAMES if f"[{name}]({name}.md)" not in text or f"\n{name}\n" not in text] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_page_begins_with_its_verdict_and_has_every_part(name):
    text = page(name)
    assert text.startswith(f"# `{name}`: ")
    parts = ("Rule", "Evidence", "A run that shows it", "What helps", "How often it is right", "Source")
    assert [part for part in parts if f"\n## {part}\n" not in text] == []


@pytest.mark.parametrize("name", [*NAMES, "index"])
def test_thresholds_on_a_page_have_the_values_of_the_code(name):
    stated = NAMED.findall(page(name))
    assert [key for key, value in stated if name != "index" and float(value) != LIMITS[key]] == []


@pytest.mark.parametrize("name", sorted(set(NAMES) & {*OF_RULES, *OF_FLOW}))
def test_a_page_names_every_threshold_of_its_rule(name):
    stated = {key for key, _ in NAMED.findall(page(name))}
    assert OF_RULES.get(name, set()) | OF_FLOW.get(name, set()) <= stated


@pytest.mark.parametrize("name", NAMES)
def test_the_run_of_a_page_is_that_of_the_script_and_its_figure_is_small(name):
    text, command = page(name), CASES[name].command
    shown = command if command.startswith("python ") else f"gradlab {command}"
    assert f"\n$ {shown}\n" in text
    figure = PAGES.parent / "img" / "verdicts" / f"{name}.png"
    assert f"(../img/verdicts/{name}.png)" in text
    assert figure.read_bytes()[:4] == b"\x89PNG"
    assert figure.stat().st_size < 60_000


@pytest.mark.parametrize("name", NAMES)
def test_a_page_counts_its_labelled_runs(name):
    labelled, held_out = (sum(name in case.causes for case in cases) for cases in (LABELLED, HELD_OUT))
    if labelled:
        assert f"{3 * labelled} labelled runs with this root cause ({labelled} configs, 3 seeds)" in page(name)
        assert f"and {3 * held_out} of the held-out set" in page(name) or not held_out
