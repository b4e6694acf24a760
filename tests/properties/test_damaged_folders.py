"""gradlab-explain and gradlab-report raise on no content of a run's folder: there is a line, or a report."""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.damage import copy_run, damage
from tests.support.running import compose_config

from gradlab.api import explain
from gradlab.cli.report import remake
from gradlab.errors import GradlabError
from gradlab.run.execute import execute

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    execute(compose_config("train=smoke", "model.depth=3", "model.width=8", "figures=false"), folder, choices={})
    return folder


@given(seed=SEEDS)
def test_a_damaged_run_is_explained_or_refused_in_a_line(whole, seed):
    with TemporaryDirectory() as place:
        copy_run(whole, Path(place) / "good")
        done = damage(copy_run(whole, Path(place) / "run"), Random(seed))
        try:
            runs, broken = explain.read([Path(place)])
        except GradlabError as error:
            runs, broken = [], {Path(place): str(error)}
        text = "\n".join(explain.in_words(runs))
    assert "good" in text, done
    for reason in broken.values():
        assert reason, done
        assert "\n" not in reason, done
        assert "a file is damaged (" not in reason, f"{done}: {reason}: an error that no reader foresees"


@settings(max_examples=4)
@given(seed=SEEDS)
def test_a_damaged_run_is_reported_or_refused_in_a_line(whole, seed):
    with TemporaryDirectory() as place:
        run = copy_run(whole, Path(place) / "run")
        done = damage(run, Random(seed))
        try:
            page, broken = remake([run])
        except GradlabError:
            return
        assert page is not None or broken, done
        assert all("\n" not in reason for reason in broken.values()), done
