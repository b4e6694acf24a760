import json
import subprocess
import sys

import pytest
import torch
import yaml

from gradlab.config import build
from gradlab.config.options import description, groups
from gradlab.config.paths import CONFIGS
from gradlab.reproduce import claims
from gradlab.run.row import text
from tests.support.running import Run, compose_config

EXPERIMENTS = sorted((CONFIGS / "experiment").glob("*.yaml"))
EXPECTED = claims.read_all(CONFIGS / "experiment")


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_the_first_comment_is_the_command(path):
    command, _, what = description(path).partition(": ")
    assert command in (f"gradlab experiment={path.stem}", f"gradlab -m experiment={path.stem}")
    assert ("-m" in command.split()) == ("sweeper:" in path.read_text())
    assert what


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_is_a_valid_config(path):
    cfg = compose_config(f"experiment={path.stem}")
    build.check(cfg)


@pytest.mark.parametrize("name", EXPECTED)
def test_expected_figures_are_about_runs_of_the_experiment(name):
    """Each claim's runs are among those that the recipe sweeps over, in its small version too where it is claimed."""
    recipe = yaml.safe_load((CONFIGS / "experiment" / f"{name}.yaml").read_text())
    swept = recipe.get("hydra", {}).get("sweeper", {}).get("params", {})
    small = dict(override.split("=", 1) for override in EXPECTED[name].quick or ())
    for claim in EXPECTED[name].claims:
        for wanted in (claim.runs, claim.against or {}):
            for key, value in wanted.items():
                assert text(value) in str(swept[key]).split(","), claim.says
                if EXPECTED[name].quick is not None and claim.quick and key in small:
                    assert text(value) in small[key].split(","), claim.says
    assert len({claim.says for claim in EXPECTED[name].claims}) == len(EXPECTED[name].claims)


def test_help_shows_experiments_and_not_their_expected_figures():
    assert set(groups([CONFIGS])["experiment"]) == {path.stem for path in EXPERIMENTS}
    assert set(EXPECTED) <= {path.stem for path in EXPERIMENTS}


def test_vanishing_sigmoid(run):
    hidden = run("experiment=vanishing_sigmoid", "train=init").hidden()
    norms = hidden.preactivation_grad_norm
    assert len(norms) == 50
    assert (norms > 0).all()
    assert norms.iloc[0] / norms.iloc[-1] < 1e-28


def test_linear_regression_finds_the_line(run):
    done = run("experiment=linear_regression")
    model = torch.load(done.folder / "checkpoint.pt", weights_only=True)["model"]
    assert model["head.weight"].item() == pytest.approx(3, abs=0.15)
    assert model["head.bias"].item() == pytest.approx(2, abs=0.15)
    # 100 samples: the mean of their squared noise has a standard deviation of 0.035
    assert done.metrics.train_loss.iloc[-1] == pytest.approx(0.25, abs=0.1)
    assert done.metrics.epoch.iloc[-1] == 999  # every step sees the whole training set


@pytest.mark.parametrize(("initializer", "verdict"), [("kaiming_normal", "healthy"), ("xavier_normal", "vanishing")])
def test_he_vs_xavier(run, initializer, verdict):
    done = run("experiment=he_vs_xavier", f"initializer={initializer}", "train=init")
    assert json.loads((done.folder / "run.json").read_text())["verdicts"][0]["name"] == verdict


def sweep(tmp_path, *arguments):
    done = gradlab("-m", *arguments, "figures=false", f"hydra.sweep.dir={tmp_path / 'sweep'}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return {folder.name: Run(folder) for folder in (tmp_path / "sweep").iterdir() if folder.is_dir()}


@pytest.mark.slow
def test_amsgrad_stays_where_adam_is_led_astray(tmp_path):
    """Reddi et al. 2018, section 3: the best point is -1; figures recomputed with torch alone."""
    ends = {
        "amsgrad" if "optimizer=amsgrad" in name else "adam": done.metrics.eval_loss.iloc[-1]
        for name, done in sweep(tmp_path, "experiment=amsgrad").items()
    }
    assert ends == pytest.approx({"adam": 0.95, "amsgrad": -0.90}, abs=0.01)


def test_input_scale(run):
    """Small inputs make small weight gradients in the first layer, large ones drive its tanh into saturation."""
    small, plain, large = (
        run("experiment=input_scale", "train=init", "data.standardize=true", f"data.scale={scale}").hidden().loc[1]
        for scale in (0.01, 1, 100)
    )
    assert small.weight_grad_norm < plain.weight_grad_norm / 30
    assert small.activation_slope_rms > 0.99 > plain.activation_slope_rms > 0.5 > 0.2 > large.activation_slope_rms
    assert large.weight_grad_norm > 3 * plain.weight_grad_norm


@pytest.mark.slow
def test_gates_solve_the_adding_problem_and_tanh_does_not(run):
    """H 64, batch 50, Adam 3e-3, clip norm 1, T 100; published: GRU below 0.05 by step 620, tanh at 0.15 to 0.18."""
    gru = run("experiment=adding_problem", "model=gru", "train.steps=621", "probe=off").metrics.eval_loss
    assert gru.min() < 0.05
    rnn = run("experiment=adding_problem", "model=rnn", "train.steps=2000", "probe=off").metrics.eval_loss
    assert rnn.min() > 0.14


def test_he_vs_xavier_asks_for_multirun(tmp_path):
    done = gradlab("experiment=he_vs_xavier", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "gradlab: this experiment is a sweep: add -m\n"


def gradlab(*arguments, cwd):
    command = [sys.executable, "-m", "gradlab.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
