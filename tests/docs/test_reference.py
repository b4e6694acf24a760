"""The reference: every group, column and file has a description, and README stays short."""

import json

import pytest
from gradlab_docs import files, options, shown
from tests.support.shown import ROOT


def test_every_column_has_a_meaning_and_every_meaning_a_column():
    page = files.columns_page()
    for name, columns in files.COLUMNS.items():
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")] == list(columns)


def test_a_superfluous_column_is_refused():
    with pytest.raises(ValueError, match="missing or superfluous: lag, step"):
        files.same("columns", ["step", "layer"], ["layer", "lag"])


def test_every_group_has_a_description():
    assert sorted(options.GROUPS) == [name for name in options.groups([options.CONFIGS]) if name != "experiment"]


def test_every_option_of_a_group_has_a_section_with_its_limits():
    known = options.groups([options.CONFIGS])["clipping"]
    page = options.group_page("clipping", known)
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == list(known)
    assert "| `clipping.max_norm` | `1.0` | a number above 0 |" in page


def test_limits_and_defaults_of_a_setting_are_shown():
    assert "| `train.steps` | optimizer steps | an integer of at least 1 | `600` |" in options.settings_page()


def test_what_a_run_leaves_is_described(run):
    left = run("train=smoke", "train.checkpoint=true")
    assert files.undescribed(left.folder, kind="run") == []
    assert files.undescribed_keys(json.loads((left.folder / "run.json").read_text())) == []


def test_what_a_recurrent_run_leaves_is_described(run):
    left = run("train=init", "model=lstm")
    assert files.undescribed(left.folder, kind="run") == []
    assert files.undescribed_keys(json.loads((left.folder / "run.json").read_text())) == []


def test_readme_fits_on_two_screens_and_its_links_exist():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 150
    assert [line for line in readme.splitlines() if len(line) > 120] == []
    links = shown.links(ROOT / "README.md")
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link.partition("#")[0]).exists()] == []


def test_exempt_blocks_give_a_reason(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- not run: needs a cluster -->\n```console\n$ gradlab seed=1\n```\n```console\n$ gradlab # x\n```\n"
    )
    first, second = shown.blocks(page)
    assert (first.skipped, first.commands) == ("needs a cluster", [])
    assert (second.skipped, second.commands) == ("", [["gradlab"]])
