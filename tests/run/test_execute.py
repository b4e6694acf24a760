"""Files of a run that completed, diverged, failed or was interrupted."""

import importlib
import json
import signal
import subprocess
import sys
from math import isinf
from pathlib import Path

import pandas as pd
import pytest
import torch
from tests.support.running import compose_config
from tests.support.waiting import wait_until

from gradlab.artifacts.atomic import write_json
from gradlab.artifacts.fingerprint import compute_fingerprint, foreign_sources
from gradlab.artifacts.record import read_run
from gradlab.artifacts.tables import METRICS, Table
from gradlab.errors import GradlabError, short
from gradlab.run.assemble import assemble
from gradlab.run.console import how_to_resume
from gradlab.run.execute import execute
from gradlab.view.digest import Detail, digest
from gradlab.view.figures import figure_of
from gradlab.view.layer_table import layer_table
from gradlab.view.overlay import read_flow

SMALL = ("model.depth=3", "model.width=16", "train.steps=20", "train.eval_every=10")


def test_a_completed_run_writes_every_file(run):
    done = run(*SMALL)
    record = json.loads((done.folder / "run.json").read_text())
    assert record["status"] == "completed"
    assert record["steps"] == 20
    assert record["seed"] == 0
    assert set(record["metrics"]) >= {"train_loss", "eval_loss", "eval_accuracy", "gradient_ratio_initial",
                                      "decades_per_layer_final_low"}  # fmt: skip
    assert record["environment"]["torch"] == torch.__version__.split("+")[0]
    assert [verdict["when"] for verdict in record["verdicts"]] == ["initial", "final"]
    assert list(done.metrics.columns) == list(METRICS)
    assert list(done.metrics.step) == [0, 10, 19]
    assert done.metrics.eval_accuracy.notna().all()
    assert sorted(done.gradients.depth_index.unique()) == [1, 2, 3, 4]
    first, middle = done.gradients[done.gradients.step == 0], done.gradients[done.gradients.step == 10]
    assert first.saturated_fraction.iloc[:-1].notna().all()
    assert middle.saturated_fraction.isna().all()


def test_metrics_are_those_of_the_model(run):
    done = run(*SMALL)
    cfg = compose_config(*SMALL)
    loop = assemble(cfg)
    checkpoint = torch.load(done.folder / "checkpoint.pt", weights_only=True)
    assert set(checkpoint) >= {"model", "optimizer", "lr_scheduler", "clipping", "rng", "step", "fingerprint"}
    assert checkpoint["step"] == 20
    loop.model.load_state_dict(checkpoint["model"])
    last = done.metrics.iloc[-1]
    assert loop.evaluate()["eval_loss"] == last.eval_loss
    assert checkpoint["fingerprint"] == json.loads((done.folder / "run.json").read_text())["fingerprint"]


def test_a_diverged_run_is_a_result(run):
    done = run(*SMALL, "optimizer.lr=1e12", "train.eval_every=0")
    record = json.loads((done.folder / "run.json").read_text())
    assert record["status"] == "diverged"
    assert record["steps"] < 20
    assert record["metrics"]["train_loss"] in ("nan", "inf")
    assert done.gradients.step.max() == record["steps"] - 1
    assert (done.folder / "checkpoint.pt").exists()
    assert record["verdicts"][-1]["name"] == "not_finite"


@pytest.mark.parametrize("residual", ["rezero", "skip_init", "fixup", "highway"])
def test_a_skip_that_carries_the_gradient_is_healthy(run, residual):
    done = run("train=init", f"residual={residual}", "model.depth=20", "model.width=32")
    record = json.loads((done.folder / "run.json").read_text())
    verdict, ratio = record["verdicts"][0], record["metrics"]["gradient_ratio_initial"]
    assert verdict["name"] == "healthy"
    ends = done.hidden().activation_grad_norm
    assert ratio == pytest.approx(ends.iloc[0] / ends.iloc[-1]), "the measure of the verdict, and finite"
    share = short(ratio, digits=2)
    assert f"layer 1 receives {share} of layer 20's gradient (dL/dh, x " in verdict["sentence"]
    shown = dict(zip(("norm", "share"), list(layer_table(done.folder).columns)[3:5], strict=True))
    assert shown["norm"].header == "dL/dh\nnorm"
    assert short(float(next(iter(shown["share"].cells))), digits=2) == share
    flow = figure_of(done.folder, "gradient_flow", caption="c")
    assert f"layer 1 is {share} " in " ".join(flow.texts[0].get_text().split())
    assert flow.axes[0].get_ylabel() == "L2 norm of dL/dh over the batch"
    overlaid = read_flow([done.folder])
    assert overlaid is not None
    assert (overlaid.of, short(float(overlaid.first[0]), digits=2)) == ("dL/dh", share)
    assert digest(done.folder, detail=Detail())["layers"]["of"] == "dL/dh"


def test_a_net_that_breaks_in_its_last_update_has_diverged(run):
    done = run(*SMALL, "train.steps=1", "optimizer.lr=1e38")
    assert json.loads((done.folder / "run.json").read_text())["status"] == "diverged"


def test_dropped_blocks_do_not_hide_a_divergence(run):
    """The diverging step is recorded by a second pass, which must drop the same blocks."""
    config = ("residual=stochastic_depth", "residual.survival=0.2", "model.depth=6", "model.width=16", "optimizer.lr=2",
              "probe.every=1000", "train.steps=60", "train.eval_every=0")  # fmt: skip
    for seed in range(8):
        done = run(*config, f"seed={seed}")
        record = json.loads((done.folder / "run.json").read_text())
        assert record["status"] == "diverged"
        assert record["metrics"]["train_loss"] in ("nan", "inf")


def test_a_failed_run_says_why(tmp_path):
    with pytest.raises(GradlabError, match="batch_norm needs at least 2 samples"):
        execute(compose_config("train.batch_size=1", "normalization=batch_norm"), tmp_path, choices={})
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["status"] == "failed"
    assert record["error"] == "train.batch_size=1: batch_norm needs at least 2 samples to normalize over"
    assert record["seed"] == 0
    assert "Traceback" in (tmp_path / "error.log").read_text()
    assert not (tmp_path / "checkpoint.pt").exists()
    execute(compose_config(*SMALL, "figures=false"), tmp_path, choices={})
    assert not (tmp_path / "error.log").exists()


def test_ratios_need_both_ends_on_record(run):
    done = run(*SMALL, "probe.layers=[stem*,head]")
    metrics = json.loads((done.folder / "run.json").read_text())["metrics"]
    assert metrics["gradient_ratio_initial"] is None
    done = run(*SMALL, "probe.layers=[stem*,blocks.1*]")
    metrics = json.loads((done.folder / "run.json").read_text())["metrics"]
    assert metrics["gradient_ratio_initial"] > 0


def test_the_probe_can_be_off(run):
    done = run(*SMALL, "probe=off")
    assert done.gradients.empty
    assert list(done.metrics.step) == [0, 10, 19]
    assert json.loads((done.folder / "run.json").read_text())["verdicts"] == []


def test_a_finished_run_is_reused_and_replaced_by_another_only_if_asked(tmp_path, capsys):
    cfg = compose_config(*SMALL, "figures=false")
    value = execute(cfg, tmp_path, choices={})
    stamp = (tmp_path / "checkpoint.pt").stat().st_mtime_ns
    assert execute(cfg, tmp_path, choices={}) == value
    assert (tmp_path / "checkpoint.pt").stat().st_mtime_ns == stamp
    before = contents(tmp_path)
    for key in ("train.checkpoint=true", "train.checkpoint=false"):  # without one, the keys that differ are not saved
        with pytest.raises(GradlabError, match=r"holds a run of another config \(.*\): choose another folder, or add"):
            execute(compose_config(*SMALL, "figures=false", "seed=1", key), tmp_path, choices={})
        assert contents(tmp_path) == before
    with pytest.raises(GradlabError, match=r"\(seed=0, not 1\)"):
        execute(compose_config(*SMALL, "figures=false", "seed=1"), tmp_path, choices={})
    (tmp_path / "checkpoint.pt").unlink()
    with pytest.raises(GradlabError, match="holds a run of another config"):
        execute(compose_config(*SMALL, "figures=false", "seed=1"), tmp_path, choices={})
    execute(compose_config(*SMALL, "figures=false", "seed=1", "overwrite=true"), tmp_path, choices={})
    assert json.loads((tmp_path / "run.json").read_text())["seed"] == 1


CNN_WITHOUT_IMAGES = ("model=cnn", "data=gaussian")
HEADS_AND_PARTS = (*SMALL, "model.auxiliary_every=1", "train.accumulate=2")


@pytest.mark.parametrize("config", [CNN_WITHOUT_IMAGES, HEADS_AND_PARTS, ("optimizer.lr=nan",)])
def test_a_config_that_cannot_be_built_changes_nothing_of_an_earlier_run(tmp_path, config):
    execute(compose_config(*SMALL, "figures=false"), tmp_path, choices={})
    before = contents(tmp_path)
    with pytest.raises(GradlabError):
        execute(compose_config("figures=false", "overwrite=true", *config), tmp_path, choices={})
    assert contents(tmp_path) == before


def test_a_refused_config_leaves_no_files_and_one_that_cannot_be_built_no_tables(tmp_path):
    with pytest.raises(GradlabError):
        execute(compose_config("optimizer.lr=nan"), tmp_path, choices={})
    assert contents(tmp_path) == {}
    written = []
    with pytest.raises(GradlabError):
        execute(compose_config(*HEADS_AND_PARTS), tmp_path, choices={}, write_config=lambda: written.append(True))
    assert set(contents(tmp_path)) == {"error.log", "run.json"}
    assert written == [True]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_fingerprints_follow_what_matters():
    base = {"seed": 0, "model": {"depth": 3}, "hydra": {"a": 1}}
    assert compute_fingerprint(base, {}) == compute_fingerprint({"model": {"depth": 3}, "seed": 0, "hydra": {}}, {})
    assert compute_fingerprint(base, {}) != compute_fingerprint(base | {"seed": 1}, {})
    assert compute_fingerprint(base, {}) != compute_fingerprint(base, {"my_parts.swish": "def swish(): ..."})


def test_sources_of_foreign_targets_are_kept(tmp_path, monkeypatch):
    (tmp_path / "foreign_parts.py").write_text("def swish():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = {"a": [{"_target_": "foreign_parts.swish"}], "b": {"_target_": "torch.nn.ReLU"}}
    importlib.import_module("foreign_parts")
    assert foreign_sources(config) == {"foreign_parts.swish": "def swish():\n    return 1\n"}
    assert foreign_sources({"_target_": "numpy.exp"}).keys() == {"numpy.exp"}


def test_non_finite_numbers_in_run_json_are_words(tmp_path):
    write_json(tmp_path / "run.json", {"a": float("nan"), "b": [float("-inf"), 1.5], "c": None})
    record = read_run(tmp_path)
    assert record == {"a": "nan", "b": ["-inf", 1.5], "c": None, "status": "unfinished"}
    assert isinf(float(record["b"][0]))


def test_tables_round_trip(tmp_path):
    table = Table(tmp_path / "t.csv", ["a", "b", "c"])
    table.write([[1, 0.1 + 0.2, None], [2, float("nan"), float("-inf")]])
    table.close()
    assert (tmp_path / "t.csv").read_text() == "a,b,c\n1,0.30000000000000004,\n2,nan,-inf\n"


@pytest.mark.parametrize("override", ["model=linear", "data=linear_regression", "data.standardize=false"])
def test_other_tasks(run, override):
    extra = () if override == "model=linear" else ("model.depth=3", "model.width=16")
    done = run(override, "train.steps=20", *extra)
    assert done.metrics.train_loss.notna().all()
    assert done.metrics.eval_accuracy.isna().all() == (override == "data=linear_regression")


def test_an_unused_group_is_a_warning(run):
    done = run("model=linear", "activation=tanh", "train.steps=2")
    assert json.loads((done.folder / "run.json").read_text())["warnings"] == [
        "activation=tanh has no effect: model=linear does not use it"
    ]


def test_more_threads_than_cores_are_a_warning(run, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    done = run("train.steps=1", "train.threads=2", "model.depth=1", "model.width=4")
    warnings = json.loads((done.folder / "run.json").read_text())["warnings"]
    assert warnings == ["train.threads=2: this machine has 1 cores; more threads only wait"]


def test_what_an_interrupted_run_says_names_what_goes_on():
    folder = Path("a b")
    assert how_to_resume(folder, 3, saved=True, brief=False) == (
        "interrupted after 3 steps: a b; gradlab 'train.resume=a b' resumes it, gradlab-report 'a b' draws it as it is"
    )
    assert "cannot be resumed" in how_to_resume(folder, 3, saved=False, brief=False)
    in_sweep = how_to_resume(Path("s/x"), 3, saved=True, brief=True)
    assert in_sweep.endswith("; the same command with hydra.sweep.dir=s resumes the sweep")


def test_ctrl_c_keeps_what_was_recorded(tmp_path):
    command = [sys.executable, "-m", "gradlab.cli", "train.steps=1000000", "hydra.run.dir=out", "figures=false"]
    metrics = tmp_path / "out" / "metrics.csv"
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: metrics.exists() and metrics.stat().st_size > 1000, process)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate()
    assert process.returncode == 130, stderr
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    folder = tmp_path / "out"
    said = f"gradlab: interrupted after {record['steps']} steps: {folder}; gradlab train.resume={folder} resumes it, "
    assert stderr.strip().splitlines()[-1] == f"{said}gradlab-report {folder} draws it as it is"
    assert stderr.count("interrupted") == 1
    assert record["status"] == "interrupted"
    assert 0 < record["steps"] < 1000000
    assert record["steps"] - pd.read_csv(metrics).step.iloc[-1] <= 11
    assert torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)["step"] == record["steps"]
