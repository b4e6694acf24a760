"""The search for runs below a folder."""

import subprocess

import pytest

import gradlab
from gradlab.artifacts.folders import as_folder, find_runs, require_runs
from gradlab.errors import GradlabError


@pytest.fixture
def sweep(tmp_path):
    for name in ("a", "b/c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("{}")
    return tmp_path


def test_links_that_form_a_loop_are_followed_once(sweep):
    (sweep / "again").symlink_to(".")
    (sweep / "b" / "up").symlink_to("..")
    (sweep / "itself").symlink_to("itself")
    (sweep / "nowhere").symlink_to("missing")
    assert list(find_runs(sweep)) == [sweep / "a", sweep / "b" / "c"]


def test_a_linked_run_has_the_name_of_its_folder(sweep):
    (sweep / "0-latest").symlink_to("a")
    assert list(find_runs(sweep)) == [sweep / "a", sweep / "b" / "c"]


def test_folders_of_any_depth_are_searched(tmp_path):
    deep = tmp_path.joinpath(*["d"] * 1200)  # deeper than Python's own stack
    tmp_path.joinpath(*["d"] * 600).mkdir(parents=True)
    deep.mkdir(parents=True)
    (deep / "gradients.csv").write_text("")
    assert require_runs(tmp_path) == [deep]
    subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)  # shutil.rmtree of pytest's clean-up would recurse


@pytest.mark.parametrize("function", [gradlab.load, gradlab.explain, as_folder, gradlab.Run, gradlab.Sweep])
@pytest.mark.parametrize("name", ["", "a\0b"])
def test_an_empty_name_is_not_the_working_directory(sweep, monkeypatch, function, name):
    monkeypatch.chdir(sweep)
    with pytest.raises(GradlabError, match=r"empty|not the name"):
        function(name)
