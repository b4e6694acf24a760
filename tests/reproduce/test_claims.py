import json
from math import inf

import pytest
import yaml

from gradlab.errors import GradlabError
from gradlab.reproduce import claims, results
from gradlab.reproduce.claims import OUTSIDE, UNSEEN, WITHIN, Claim

BASE = {"says": "the figure", "figure": "recorded", "arguments": {"name": "metrics.loss"}, "source": "eq. 1"}


@pytest.fixture
def runs(tmp_path):
    """Two configs of two seeds each, with Hydra's files."""
    found = []
    for model, seed, loss in (("gru", 0, 1.0), ("gru", 1, 3.0), ("rnn", 0, 4.0), ("rnn", 1, "nan")):
        folder = tmp_path / f"{model}{seed}"
        (folder / ".hydra").mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"status": "completed", "metrics": {"loss": loss}}))
        (folder / ".hydra" / "overrides.yaml").write_text(f"- model={model}\n- seed={seed}\n- data.scale=1.0\n")
        (folder / ".hydra" / "config.yaml").write_text("model: {depth: 10, bias: true}")
        found.append(folder)
    return found


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        ({"runs": {"model": "gru"}}, 2),
        ({"runs": {"model": "gru", "seed": 1}}, 3),
        ({"runs": {"model": "gru", "model.depth": 10, "model.bias": True}, "over": "max"}, 3),
        ({"runs": {"model": "rnn"}, "over": "min"}, 4),
        ({"runs": {"model": "rnn"}, "over": "max"}, inf),
        ({"runs": {"model": "gru"}, "against": {"model": "rnn"}, "over": "min"}, 0.25),
        ({"over": "median"}, 3.5),
    ],
)
def test_a_claim_is_measured_on_its_runs(runs, changes, value):
    assert claims.measure(Claim(**BASE | changes), runs) == value


def test_a_claim_that_selects_no_run_is_an_error(runs):
    with pytest.raises(GradlabError, match=r"'the figure': no run has \{'model': 'lstm'\}"):
        claims.measure(Claim(**BASE | {"runs": {"model": "lstm"}}), runs)
    with pytest.raises(GradlabError, match="gru0 has no such figure"):
        claims.measure(Claim(**BASE | {"arguments": {"name": "metrics.nothing"}}), runs)


@pytest.mark.parametrize(
    ("limits", "words", "inside", "outside"),
    [
        ({"expected": 1, "tolerance": 0.1}, "1 ± 0.1", (0.95, 1.1), (0.89, 1.11, inf)),
        ({"at_least": 2}, "at least 2", (2, inf), (1.9,)),
        ({"at_most": 2}, "at most 2", (2, -5), (2.1, inf)),
        ({"at_least": 1, "at_most": 2}, "1 to 2", (1, 2), (0, 3)),
    ],
)
def test_judgement(limits, words, inside, outside):
    claim, rare = Claim(**BASE | limits), Claim(**BASE | limits | {"unseen": "the net is small"})
    assert results.expected(claim) == words
    assert {claims.judge(one, value) for value in inside for one in (claim, rare)} == {WITHIN}
    assert {claims.judge(claim, value) for value in (*outside, float("nan"))} == {OUTSIDE}
    assert {claims.judge(rare, value) for value in outside} == {UNSEEN}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"figure": "nothing"}, "nothing"),
        ({"arguments": {"column": "a"}, "at_least": 1}, "name"),
        ({"at_leats": 1}, "at_leats"),
        ({"over": "mode", "at_least": 1}, "mode"),
        ({}, "needs expected and tolerance, at_least or at_most"),
    ],
)
def test_broken_files_are_refused(tmp_path, changes, message):
    path = tmp_path / "mine.expected.yml"
    path.write_text(yaml.safe_dump({"source": "me", "effect": "it does", "claims": [BASE | changes]}))
    with pytest.raises(GradlabError, match=message) as error:
        claims.read(path)
    assert str(error.value).startswith(str(path))


def test_the_page(runs):
    claim = Claim(**BASE | {"at_least": 5, "runs": {"model": "gru"}, "unseen": "too few seeds"})
    outcome = results.Outcome(claim=claim, measured=2.0, verdict=UNSEEN)
    expectation = claims.Expectation(name="mine", source="Me 2020", effect="it does", claims=[claim])
    done = results.Result(
        expectation=expectation, command="gradlab experiment=mine", outcomes=[outcome], runs=2, seconds=3
    )
    left = results.Result(expectation=expectation, command="gradlab experiment=mine", skipped="a GPU")
    lost = results.Result(expectation=expectation, command="gradlab experiment=mine", failed="it fell")
    page = results.page([done, left, lost], title="All.", machine={"date": "today"})
    assert "| the figure | at least 5 | 2 | not seen at this scale: too few seeds | eq. 1 |" in page
    assert "- figures: 1: 1 not seen at this scale; 3 s of runs" in page
    assert "It does (Me 2020)." in page
    assert "not run, it needs a GPU" in page
    assert "FAILED: it fell" in page
