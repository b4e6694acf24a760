"""Verdicts of real runs, drawn from their files."""

import json
from math import log

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from tests.support.running import compose_config

from gradlab.config import schema
from gradlab.data.chance import chance
from gradlab.data.dataset import Dataset
from gradlab.data.sequences import adding, copy_memory
from gradlab.diagnosis.causes import FAULTS
from gradlab.diagnosis.gate import Gate
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.run.verdicts import judge, read_evidence


def record_of(done):
    return json.loads((done.folder / "run.json").read_text())


def causes(record):
    return [verdict["name"] for verdict in record["verdicts"] if verdict["root_cause"]]


def test_a_sigmoid_net_vanishes_and_a_relu_net_has_no_fault(run):
    ended = ("train.steps=100", "model.depth=8", "model.width=32")
    bad = record_of(run(*ended, "activation=sigmoid", "initializer=xavier_normal"))
    assert causes(bad) == ["vanishing"]
    verdict = bad["verdicts"][0]
    assert (verdict["when"], verdict["column"], verdict["threshold"]) == ("initial", "preactivation_grad_norm", 0.01)
    assert verdict["value"] == pytest.approx(bad["metrics"]["gradient_ratio_initial"])
    assert verdict["layers"][0] == 1
    assert verdict["source"]
    good = record_of(run(*ended))
    assert causes(good) == []
    assert {verdict["name"] for verdict in good["verdicts"]} == {"healthy"}


def test_an_untrained_net_is_judged_by_its_structure(run):
    record = record_of(run("train=init", "initializer=xavier_normal", "model.depth=30", "model.width=32"))
    assert causes(record) == ["poor_initialization"]
    assert {verdict["name"] for verdict in record["verdicts"]} == {"poor_initialization", "vanishing"}


def test_a_rate_too_high_is_named_before_what_it_does(run):
    record = record_of(run("optimizer.lr=1e12", "model.depth=3", "model.width=32", "train.steps=30"))
    assert causes(record) == ["learning_rate_too_high"]
    assert "1e+12" in next(v for v in record["verdicts"] if v["root_cause"])["sentence"]
    judged = {name: record[name] for name in ("status", "metrics", "verdicts")}
    assert Gate(fail_on=["learning_rate_too_high"]).reasons(**judged)


def test_remedies_need_the_config(run, write_run):
    done = run("train=init", "activation=sigmoid", "model.depth=12", "model.width=32")
    record, limits = record_of(done), Thresholds()
    config = OmegaConf.to_container(compose_config("train=init", "activation=sigmoid", "model.depth=12"), resolve=True)
    choices = {"activation": "sigmoid", "initializer": "kaiming_normal", "residual": "none", "normalization": "none"}
    (cause,) = [v for v in judge(done.folder, record, limits, config=config, choices=choices) if v["root_cause"]]
    assert any("activation=relu" in remedy["overrides"] for remedy in cause["remedies"])
    (bare,) = [v for v in judge(done.folder, record, limits, config={}, choices={}) if v["root_cause"]]
    assert (bare["name"], bare["remedies"]) == (cause["name"], [])


def test_evidence_equals_the_tables(run):
    done = run("model=rnn", "data=adding", "data.length=12", "train.steps=31", "model.width=8")
    evidence = read_evidence(done.folder, record_of(done), config={"data": {"_target_": "x.adding", "length": 12}})
    assert evidence.setting.lag == 6
    assert evidence.hidden == 1
    assert evidence.losses.tolist() == done.metrics.train_loss.tolist()
    times = pd.read_csv(done.folder / "timesteps.csv").pivot_table("hidden_grad_norm", "step", "time")
    np.testing.assert_array_equal(evidence.times, times.to_numpy())
    assert np.isnan(evidence.column("dead_fraction")[1]).all()  # measured at every tenth recorded step only


def test_defaults_are_those_of_the_config():
    schema.register()
    given = {key: value for key, value in compose_config().diagnosis.items() if key != "_target_"}
    assert Thresholds(**given) == Thresholds()


def test_every_fault_can_stand_at_the_gate():
    assert Gate(fail_on=list(FAULTS)).fail_on == list(FAULTS)


def test_chance():
    labels = torch.tensor([0, 0, 0, 1])
    inputs = torch.zeros(4, 2)
    data = Dataset(
        train_inputs=inputs, train_targets=labels, test_inputs=inputs, test_targets=labels, outputs=2,
        task="classification",
    )  # fmt: skip
    assert chance(data) == {"loss": pytest.approx(log(4) - 0.75 * log(3)), "accuracy": 0.75}
    assert chance(adding(length=10, test_samples=20_000))["loss"] == pytest.approx(1 / 6, rel=0.02)
    copy = chance(copy_memory(length=30, test_samples=5000))
    assert copy["loss"] == pytest.approx(10 * log(8) / 50, rel=0.01)
    assert copy["accuracy"] == pytest.approx((40 + 10 / 8) / 50, rel=0.01)
