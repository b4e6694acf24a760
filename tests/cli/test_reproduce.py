"""gradlab-reproduce as it is called."""

import json
import subprocess
import sys

import pytest

from gradlab.cli import reproduce
from gradlab.cli.reproduce import RECIPES
from gradlab.reproduce import claims


@pytest.fixture
def command(monkeypatch, capsys):
    """Run gradlab-reproduce in this process and return exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gradlab-reproduce", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            reproduce.main()
        return end.value.code, *capsys.readouterr()

    return run


_SMALL = ["train=init", "model.depth=3", "model.width=8", "figures=false"]


def called(*arguments):
    line = [sys.executable, "-c", "from gradlab.cli.reproduce import main; main()", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=3000, check=False)


def test_the_list_has_each_experiment_with_its_command(command):
    names = {path.name.removesuffix(claims.SUFFIX) for path in RECIPES.glob(f"*{claims.SUFFIX}")}
    code, out, _ = command("--list")
    assert code == 0
    assert {line.split()[0] for line in out.splitlines()} == names
    code, out, _ = command("--list", "--json")
    entries = {entry["name"]: entry for entry in json.loads(out)["result"]["experiments"]}
    assert set(entries) == names
    assert entries["input_scale"]["command"] == "gradlab -m experiment=input_scale"
    assert entries["input_scale"]["quick"] == "gradlab -m experiment=input_scale train=init"
    assert entries["irnn"]["quick"] is None


def test_an_unknown_experiment_and_one_without_a_small_version_are_refused_in_a_line(command):
    code, _, err = command("rezeros")
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("gradlab-reproduce: no experiment rezeros with expected figures; did you mean rezero? there")
    code, _, err = command("irnn", "--quick")
    assert (code, err) == (1, "gradlab-reproduce: irnn has no small version; leave out --quick\n")


def test_an_experiment_leaves_its_runs_figures_and_result(command, tmp_path):
    code, out, err = command("vanishing_sigmoid", "--quick", "--to", tmp_path, "--json")
    folder = tmp_path / "quick" / "vanishing_sigmoid"
    assert code == 0, err
    answer = json.loads(out)
    assert (answer["schema"], answer["command"], answer["errors"]) == (1, "gradlab-reproduce", [])
    (found,) = answer["result"]["experiments"]
    assert found == json.loads((folder / "result.json").read_text())
    assert found["folder"] == str(folder)
    assert found["runs"] == 1
    assert {claim["verdict"] for claim in found["claims"]} == {"within"}
    assert "figures/gradient_flow.svg" in found["figures"]
    for name in (*found["figures"], found["report"], "run.json", "gradients.csv", "log.txt"):
        assert (folder / name).stat().st_size > 0
    page = (tmp_path / "quick" / "results.md").read_text()
    assert answer["result"]["page"] == str(tmp_path / "quick" / "results.md")
    assert "## vanishing_sigmoid" in page
    assert "experiment=vanishing_sigmoid train=init" in err


def test_a_figure_that_is_not_as_expected_is_exit_code_3(command, tmp_path, monkeypatch):
    expected = claims.read_all(RECIPES)["vanishing_sigmoid"]
    wrong = claims.Claim(says="steps", figure="recorded", arguments={"name": "steps"}, expected=7, source="made up")
    other = claims.Expectation(name=expected.name, source="made up", effect="none", quick=_SMALL, claims=[wrong])
    monkeypatch.setattr(claims, "read_all", lambda folder: {expected.name: other})
    code, out, _ = command("vanishing_sigmoid", "--quick", "--to", tmp_path)
    assert code == 3
    assert "  OUTSIDE: steps: 1, expected 7" in out


def test_an_experiment_that_fails_says_so_and_where_to_look(command, tmp_path, monkeypatch):
    expected = claims.read_all(RECIPES)["vanishing_sigmoid"]
    broken = claims.Expectation(name=expected.name, source="", effect="-", quick=["model.depth=0"], claims=())
    monkeypatch.setattr(claims, "read_all", lambda folder: {expected.name: broken})
    code, _, err = command("vanishing_sigmoid", "--quick", "--to", tmp_path)
    log = tmp_path / "quick" / "vanishing_sigmoid" / "log.txt"
    assert code == 1
    assert err == f"gradlab-reproduce: vanishing_sigmoid: a run failed; {log} says why\n"
    assert "depth" in log.read_text()


@pytest.mark.slow
def test_one_experiment_by_name(tmp_path):
    done = called("yang_batch_norm", "--quick", "--to", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("  within: dL/dh per layer going back") == 2
    page = (tmp_path / "quick" / "results.md").read_text()
    assert "| dL/dh per layer going back, He | 1.2112 ± 0.02 | 1.2" in page
    assert "2 runs" in page


@pytest.mark.slow
def test_the_small_versions_show_what_was_published(tmp_path):
    done = called("--quick", "--to", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OUTSIDE" not in done.stdout
