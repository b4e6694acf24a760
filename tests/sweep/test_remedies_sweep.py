"""Remedies sweep: its plan, the ranking of its outcomes, and the tables rebuilt from its files."""

import csv
import json
import re
import sys
from math import inf, log, nan

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from tests.support.made_up import METRICS, STUDY, make_study, remedy, write_table
from tests.support.running import make_loader

from gradlab.cli import main
from gradlab.config.run_name import run_name
from gradlab.diagnosis.config_facts import Facts
from gradlab.diagnosis.overrides import combined, exclusive
from gradlab.diagnosis.remedies import applicable
from gradlab.sweep.rebuild import rebuild
from gradlab.sweep.remedies import study
from gradlab.sweep.remedies.outcomes import decades, gradient_ratio, loss_of, read_outcomes
from gradlab.sweep.remedies.plan import BASE, Command, alone, best_pairs, random_pairs, read_plan
from gradlab.sweep.remedies.study import default_steps
from gradlab.sweep.remedies.table import write_tables
from gradlab.sweep.remedies.tiers import interval, tiers

RELU = remedy("relu", "activation=relu", "initializer=kaiming_normal")
ADAM = remedy("adam", "optimizer=adam")
RATE = remedy("rate", "optimizer.lr=0.05")
HE = remedy("he", "initializer=kaiming_normal")


def test_a_remedy_replaces_the_overrides_of_the_user():
    assert combined(["activation=sigmoid", "seed=1"], ["activation=relu"]) == ["seed=1", "activation=relu"]
    assert combined(["optimizer=sgd", "optimizer.lr=0.5"], ["optimizer=adam"]) == ["optimizer=adam"]
    assert combined(["optimizer=sgd", "optimizer.lr=0.5"], ["optimizer.lr=1"]) == ["optimizer=sgd", "optimizer.lr=1"]
    assert combined(["model=rnn", "model.width=9"], ["model=lstm"]) == ["model.width=9", "model=lstm"]
    assert combined(["+model.arguments.a=1"], ["clipping=norm"]) == ["+model.arguments.a=1", "clipping=norm"]


def test_remedies_of_one_group_exclude_each_other():
    assert exclusive(["optimizer=adam"], ["optimizer.lr=0.1"])
    assert exclusive(["activation=relu", "initializer=kaiming_normal"], ["initializer=orthogonal"])
    assert not exclusive(["model.depth=3"], ["model.auxiliary_every=2"])
    assert not exclusive(["clipping=norm"], ["optimizer=adam"])
    assert exclusive(["model=gru"], ["activation=relu", "recurrent_initializer=identity"])


def test_each_remedy_runs_with_every_seed_in_a_folder_of_its_own():
    trials, lines = alone(STUDY, [RELU, ADAM])
    assert [trial.name for trial in trials] == [BASE, "relu", "adam"]
    assert lines[0] == ["activation=sigmoid", "optimizer.lr=0.5", "train.steps=30", "seed=7"]
    assert lines[3] == [
        "optimizer.lr=0.5", "train.steps=30", "activation=relu", "initializer=kaiming_normal", "seed=8",
    ]  # fmt: skip
    assert lines[4] == ["activation=sigmoid", "train.steps=30", "optimizer=adam", "seed=7"]
    assert [name for trial in trials for name in trial.folders] == [run_name(line) for line in lines]


def test_the_best_pairs_combine_compatible_strategies():
    trials, lines = best_pairs(STUDY, [RELU, HE, ADAM, RATE], count=2)
    assert [trial.name for trial in trials] == ["relu + adam", "relu + rate"]
    assert len(lines) == 4
    assert best_pairs(STUDY, [RATE, ADAM], count=2) == ([], [])


def test_random_pairs_depend_on_the_seed():
    pool = [RELU, ADAM, *(remedy(name, f"data.{name}=1") for name in "abcdef")]
    (trial,), lines = random_pairs(STUDY, pool, count=5)
    assert len(trial.folders) == len(lines) == 5
    assert [line[-1] for line in lines] == ["seed=7", "seed=8", "seed=7", "seed=8", "seed=7"]
    assert random_pairs(STUDY, pool, count=5)[1] == lines
    other = Command(arguments=STUDY.arguments, seeds=[9], shared=STUDY.shared)
    assert random_pairs(other, pool, count=5)[0][0].reason != trial.reason
    assert random_pairs(STUDY, [RELU], count=5) == ([], [])


def test_larger_nets_take_fewer_steps():
    def steps(model, **values):
        return default_steps(Facts(model=model, values={key.replace("_", "."): one for key, one in values.items()}))

    assert steps("mlp", model_depth=30) == 300
    assert steps("mlp", model_depth=100) == 90
    assert steps("cnn", model_depth=40) == 50
    assert steps("rnn", model_depth=1, data_length=60) == 600
    assert steps("other") == 600


def test_a_tier_holds_those_whose_intervals_overlap_that_of_the_best():
    assert tiers([(1, 2), (1.5, 3), (2.5, 4), (3.9, 5), (4.1, 6)]) == [1, 1, 2, 2, 3]
    assert tiers([(1, 2), (2.03, 3), (3.07, 4)]) == [1, 1, 2], "2% make no difference"
    assert tiers([]) == []


def test_the_interval_covers_the_geometric_mean_over_seeds():
    generator = np.random.default_rng(3)
    many = np.exp(generator.normal(0.0, 0.5, (50, 1)))
    draws = np.exp(np.log(many[generator.integers(50, size=(4000, 50)), 0]).mean(axis=1))
    assert interval(many.tolist()) == pytest.approx(np.quantile(draws, [0.08, 0.92]), abs=0.02)
    few = [[1.0], [2.0], [4.0]]
    assert interval(few) == pytest.approx((2 ** (1 / 3), 2 ** (5 / 3))), (
        "all three alike: 1 of 27; two alike and their neighbour: 3"
    )
    low, high = interval([[0.9, 1.1] * 10] * 3)
    assert 0.9 < low < 1 < high < 1.1, "the noise from step to step counts where the seeds agree"
    assert interval([[1.0], [1.0], [inf]]) == (1.0, inf)
    assert interval([[0.0], [inf]]) == (0.0, inf)


LOSSES = {BASE: (2.0, 2.2), "good": (0.1, 0.2), "as good": (0.15, 0.3), "none": (2.1, 2.3), "bad": (nan, nan)}


def test_outcomes_are_ranked_and_incomplete_ones_are_last(tmp_path):
    make_study(tmp_path, losses=LOSSES)
    found = read_outcomes(tmp_path, read_plan(tmp_path))
    assert [(one.trial.name, one.rank, one.tier) for one in found] == [
        ("good", 1, 1), ("as good", 2, 1), (BASE, 3, 2), ("none", 4, 2), ("bad", None, None),
    ]  # fmt: skip
    good = found[0]
    assert good.loss == pytest.approx(0.15)
    assert (good.low, good.high) == pytest.approx((0.1, 0.2))
    assert good.gained == pytest.approx(4.0), "from 6 decades below 1 to 2 above"
    assert found[-1].status == "2 of 2 diverged"


def test_outcomes_no_better_than_chance_share_the_last_tier(tmp_path):
    losses = {BASE: (2.0, 2.2), "good": (0.1, 0.2), "worse": (2.3, 2.31), "far worse": (3.0, 3.1)}
    make_study(tmp_path, losses=losses, guessing=2.25)
    found = read_outcomes(tmp_path, read_plan(tmp_path))
    assert [(one.trial.name, one.tier) for one in found] == [("good", 1), (BASE, 2), ("worse", 3), ("far worse", 3)]


def test_a_few_confident_errors_do_not_rank_an_accurate_net_below_guessing(tmp_path):
    trials = make_study(tmp_path, losses={BASE: (2.3, 2.3), "good": (0.3, 0.3), "sure": (17.5, 17.5)}, guessing=log(10))
    for trial in trials:
        for name in trial.folders:
            record = json.loads((tmp_path / name / "run.json").read_text())
            record["chance"]["accuracy"] = 0.1
            (tmp_path / name / "run.json").write_text(json.dumps(record))
            accuracy = {"sure": 0.937, "good": 0.95}.get(trial.name, 0.1)
            table = tmp_path / name / "metrics.csv"
            rows = list(csv.DictReader(table.read_text().splitlines()))
            write_table(table, METRICS, [row | {"train_accuracy": accuracy} for row in rows])
    found = read_outcomes(tmp_path, read_plan(tmp_path))
    assert [(one.trial.name, one.tier) for one in found] == [("good", 1), ("sure", 2), (BASE, 3)]
    assert (found[1].measured, found[1].loss) == pytest.approx((17.5, loss_of(0.937, chance=log(10))))
    assert "0.374 (measured 17.5)" in write_tables(tmp_path, found)


def test_the_loss_of_an_accuracy_is_that_of_a_net_as_sure_as_it_is_accurate():
    generator = np.random.default_rng(0)
    right = generator.random(200_000) < 0.9
    given = np.where(right, 0.9, 0.1 / 9)  # probability given to the true class of ten
    assert loss_of(0.9, chance=log(10)) == pytest.approx(-np.log(given).mean(), abs=0.01)
    assert loss_of(1.0, chance=log(10)) == 0
    assert loss_of(0.05, chance=log(10)) == inf, "worse than guessing"


def test_tables_and_report_are_rebuilt_from_the_files(tmp_path):
    trials = make_study(tmp_path, losses=LOSSES)
    rebuild(tmp_path, [tmp_path / name for trial in trials for name in trial.folders])
    first = (tmp_path / "remedies.csv").read_text()
    rows = list(csv.DictReader(first.splitlines()))
    assert [row["remedy"] for row in rows] == ["good", "as good", BASE, "none", "bad"]
    assert (tmp_path / "figures" / "remedy_flow.svg").stat().st_size > 2000
    page = (tmp_path / "report.html").read_text()
    assert '<section id="remedies">' in page
    assert "Best is good (1 more in its tier): loss 0.15 (2.1 as it is), gradient ratio +4.0 decades nearer 1" in page
    assert (
        write_tables(tmp_path, read_outcomes(tmp_path, read_plan(tmp_path))) in (tmp_path / "remedies.md").read_text()
    )
    assert (tmp_path / "remedies.csv").read_text() == first


def test_the_gradient_ratio_of_a_recurrent_net_is_over_time():
    assert gradient_ratio({"time_gradient_ratio_initial": 0.1, "gradient_ratio_initial": 1.0}, "initial") == 0.1
    assert np.isnan(gradient_ratio({"gradient_ratio_initial": None}, "initial"))
    assert [decades(value) for value in (0.0, 100.0, inf)] == [-inf, 2.0, inf]


def gradlab(monkeypatch, *words):
    """Call the command line in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["gradlab", "-m", "hydra/sweeper=remedies", *words])
    GlobalHydra.instance().clear()
    try:
        main()
    except SystemExit as end:
        return end.code
    return 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["activation=sigmoid,tanh"], "activation=sigmoid,tanh: hydra/sweeper=remedies takes one config; "),
        (["experiment=he_vs_xavier"], "takes one config, and this experiment sweeps initializer"),
        (["train=init"], "ranks by the loss after training, and this config does not train"),
        (["hydra.sweeper.seeds=0"], "hydra.sweeper.seeds must be an integer of at least 1, got 0"),
    ],
)
def test_a_config_without_one_training_is_refused_in_a_line(words, message, tmp_path, monkeypatch, capsys):
    assert gradlab(monkeypatch, *words, f"hydra.sweep.dir={tmp_path}") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def sweep_and_read(monkeypatch, folder, net):
    """Do a small remedies sweep and return its exit code and table."""
    words = [*net, "train.batch_size=4", "train.steps=4", "hydra.sweeper.seeds=1", "hydra.sweeper.pairs=1",
             "hydra.sweeper.random=1", "hydra/launcher=serial", "figures=false",
             f"hydra.sweep.dir={folder}"]  # fmt: skip
    code = gradlab(monkeypatch, *words)
    return code, list(csv.DictReader((folder / "remedies.csv").read_text().splitlines()))


@pytest.mark.parametrize(("named", "launcher"), [((), "Parallel"), (("hydra/launcher=serial",), "Serial")])
def test_all_cores_are_used_unless_a_launcher_is_named(named, launcher, monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    loader = make_loader()
    context = HydraContext(config_loader=loader, callbacks=None)  # of which a sweeper that is only made needs none
    words = ["hydra/sweeper=remedies", "model.depth=3", *named]
    config = loader.load_configuration("config", words, run_mode=RunMode.MULTIRUN)
    sweeper = Plugins.instance().instantiate_sweeper(hydra_context=context, task_function=print, config=config)
    assert type(sweeper.launcher).__name__ == launcher
    assert sweeper.config.model.depth == 3


def test_the_sweep_from_the_command_line_to_the_table(tmp_path, monkeypatch, capsys):
    some = ("clip_norm", "adam", "lower_rate")
    monkeypatch.setattr(study, "applicable", lambda facts: [one for one in applicable(facts) if one.name in some])
    net = ("model=linear", "data=linear_regression", "data.samples=8", "optimizer=sgd")
    code, rows = sweep_and_read(monkeypatch, tmp_path, net)
    assert code == 0
    assert sorted(row["kind"] for row in rows) == ["base", "pair", "random", "single", "single", "single"]
    assert all(row["overrides"] for row in rows if row["kind"] in ("single", "pair"))
    losses = [float(row["loss"]) for row in rows]
    assert losses == sorted(losses)
    assert (tmp_path / "remedies.md").read_text().strip() in capsys.readouterr().out
    assert sweep_and_read(monkeypatch, tmp_path, net) == (code, rows)
    reused = re.findall(r"(\d+) of \d+ runs are complete already", capsys.readouterr().out)
    assert sum(map(int, reused)) >= len(rows) - 1, "nothing was run again"


@pytest.mark.slow
def test_every_remedy_of_a_recurrent_net_is_tried(tmp_path, monkeypatch):
    net = ("model=rnn", "model.width=4", "data=adding", "data.length=4", "data.test_samples=8")
    code, rows = sweep_and_read(monkeypatch, tmp_path, net)
    failed = [row["remedy"] for row in rows if "failed" in row["status"]]
    assert code == 0
    assert failed in ([], ["range_test"]), "four numbers of noise may tell a range test nothing"
    assert {"lstm", "gru", "layer_norm", "irnn"} <= {row["remedy"] for row in rows}
