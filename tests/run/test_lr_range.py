"""`train=lr_range` and `optimizer.lr=auto` from the config to the files."""

import json

import pandas as pd
import pytest
import torch
from tests.support.running import compose_config

from gradlab.config import build
from gradlab.errors import GradlabError

SMALL = ("model.depth=3", "model.width=32", "train.steps=40", "lr_range.steps=60")


def record(done):
    return json.loads((done.folder / "run.json").read_text())


def weights(done):
    return torch.load(done.folder / "checkpoint.pt", weights_only=True)["model"]


def test_a_range_test_leaves_its_table_and_no_training(run, capsys):
    done = run(*SMALL, "train=lr_range", "optimizer=sgd")
    found = record(done)["lr_range"]
    assert f"optimizer.lr={found['suggestion']}\n" in capsys.readouterr().out
    assert sorted(path.name for path in done.folder.iterdir()) == ["lr_range.csv", "run.json"]
    table = pd.read_csv(done.folder / "lr_range.csv")
    assert list(table.columns) == ["step", "lr", "train_loss", "smoothed_loss"]
    assert list(table.step) == list(range(found["steps"]))
    assert table.lr[0] == 1e-6
    assert found["blew_up_at"] == table.lr.iloc[-1] < 10
    assert table.smoothed_loss[5] == pytest.approx(table.train_loss[:11].mean())
    first = run(*SMALL, "optimizer=sgd", "train=init").metrics.train_loss[0]
    assert table.train_loss[0] == first  # the same net on the same batch


def test_a_range_test_is_drawn(run):
    done = run(*SMALL, "train=lr_range", "figures=true")
    assert {path.name for path in (done.folder / "figures").iterdir()} == {"lr_range.png", "lr_range.svg"}
    assert (
        f"take optimizer.lr={record(done)['lr_range']['suggestion']}"
        in (done.folder / "figures/lr_range.svg").read_text()
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_auto_trains_like_the_suggested_number(run, optimizer):
    config = (*SMALL, f"optimizer={optimizer}", "lr_scheduler=warmup_cosine", "residual=stochastic_depth")
    auto = run(*config, "optimizer.lr=auto")
    found = record(auto)["lr_range"]
    given = run(*config, f"optimizer.lr={found['suggestion']}")
    for name in ("gradients.csv", "metrics.csv"):
        assert (auto.folder / name).read_bytes() == (given.folder / name).read_bytes()
    assert all(torch.equal(weights(auto)[name], tensor) for name, tensor in weights(given).items())
    assert "lr_range" not in record(given)


def test_a_net_that_blows_up_at_the_lowest_rate_is_tested_from_a_lower_one(run):
    done = run("residual=pre_activation", "model.depth=50", "train=lr_range", "lr_range.steps=60")
    found = record(done)["lr_range"]
    table = pd.read_csv(done.folder / "lr_range.csv")
    assert table.lr[0] == pytest.approx(1e-10)
    assert found["suggestion"] < 1e-6
    assert table.smoothed_loss.min() < 0.9 * table.train_loss[0]


def test_auto_where_no_rate_helps_is_an_error(run):
    config = ("model=linear", "data=gaussian", "train.measure_only=true", "lr_range.lowest=5", "lr_range.steps=30")
    with pytest.raises(GradlabError, match="auto: the range test found no learning rate at which the loss"):
        run(*config, "optimizer.lr=auto")


@pytest.mark.parametrize("lr", ["auto", "0.1"])
def test_auto_is_a_learning_rate(lr):
    build.check(compose_config(f"optimizer.lr={lr}"))
    with pytest.raises(GradlabError, match="must be a positive finite number or auto, got atuo"):
        build.check(compose_config("optimizer.lr=atuo"))


@pytest.mark.parametrize(("optimizer", "edge"), [("sgd", 2.0), ("momentum", 3.8)])
@pytest.mark.parametrize(("scale", "bias"), [(0.1, False), (1, True), (30, True), (100, False)])
def test_linear_regression_gets_a_stable_rate(run, optimizer, edge, scale, bias):
    config = (f"data.scale={scale}", f"model.bias={bias}", "train.batch_size=100", "data.samples=100")
    done = run("model=linear", "data=linear_regression", "train=lr_range", f"optimizer={optimizer}", *config)
    data = build.build(compose_config("data=linear_regression", *config[:1]).data, "data")
    x = torch.cat([data.train_inputs, torch.ones(100, 1)], dim=1)[:, : 1 + bias].double()
    curvature = torch.linalg.eigvalsh(2 * x.T @ x / 100).max()
    assert 0 < record(done)["lr_range"]["suggestion"] < edge / curvature


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_digits_are_learnt_with_the_suggestion(run, optimizer):
    done = run(f"optimizer={optimizer}", "optimizer.lr=auto", "train.steps=300", "probe=off")
    assert done.metrics.eval_accuracy.max() > 0.9


NETS = [(), ("activation=tanh", "initializer=xavier_normal"), ("model.depth=3",),
        ("model.depth=3", "normalization=batch_norm"), ("model=cnn",)]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("net", NETS, ids=lambda net: " ".join(net) or "default")
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_digits_are_learnt_by_other_nets_too(run, optimizer, net):
    for seed in range(5):
        config = ("optimizer.lr=auto", "train.steps=300", "probe=off", "train.checkpoint=false")
        done = run(*net, f"optimizer={optimizer}", f"seed={seed}", *config)
        assert done.metrics.eval_accuracy.max() > 0.9, seed
