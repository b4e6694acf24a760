"""Learning rates, read from metrics.csv: the rate that each step used."""

import pytest

from gradlab.errors import GradlabError

HUNDRED = ("model=linear", "train.steps=100", "train.eval_every=0", "probe.every=1", "optimizer.lr=1e-3")


def rates(run, *overrides):
    """The logged learning rates over optimizer.lr."""
    return (run(*HUNDRED, *overrides).metrics.lr / 1e-3).to_numpy()


LOGGED = [
    (["lr_scheduler=polynomial"], {0: 1, 50: 0.25, 99: 1e-4}),
    (
        ["lr_scheduler=warm_restarts", "lr_scheduler.T_0=10", "lr_scheduler.eta_min=1e-5"],
        {0: 1, 5: 0.505, 9: 0.034227, 10: 1, 29: 0.016094, 30: 1},
    ),
    (["lr_scheduler=one_cycle"], {0: 0.04, 29: 1, 99: 4e-6}),
    (["lr_scheduler=warmup_cosine", "lr_scheduler.warmup_steps=10"], {0: 0.01, 5: 0.505, 10: 1, 55: 0.5}),
    (["lr_scheduler=multistep"], {49: 1, 50: 0.1, 75: 0.01}),
    (["lr_scheduler=linear"], {0: 1, 50: 0.5, 99: 0.01}),
    (["lr_scheduler=inverse_sqrt"], {0: 0.1, 9: 1, 39: 0.5}),
]


@pytest.mark.parametrize(
    ("overrides", "expected"), LOGGED, ids=lambda value: value[0] if isinstance(value, list) else ""
)
def test_the_logged_rate_is_the_one_the_step_used(run, overrides, expected):
    found = rates(run, *overrides)
    assert [found[step] for step in expected] == pytest.approx(list(expected.values()), abs=5e-7)


def test_the_update_is_the_logged_rate_times_the_clipped_gradient(run):
    done = run(*HUNDRED, "optimizer=sgd", "lr_scheduler=one_cycle", "lr_scheduler.cycle_momentum=false", "probe=full",
        "train.dtype=float64")  # fmt: skip
    steps = done.gradients.set_index("step").update_norm / done.gradients.set_index("step").clipped_weight_grad_norm
    assert steps.to_numpy() == pytest.approx(done.metrics.lr.to_numpy(), rel=1e-6)


def test_plateau_under_a_constant_loss_drops_after_epochs_5_9_and_13(run):
    """A rate too small to change the loss, and the whole training set in every batch: a step is an epoch."""
    done = run(
        "model=linear", "data=linear_regression", "train.batch_size=100", "train.steps=16", "probe.every=1",
        "optimizer=sgd", "optimizer.lr=1e-30", "lr_scheduler=plateau",
    )  # fmt: skip
    metrics = done.metrics.set_index("epoch")
    assert metrics.train_loss.to_numpy() == pytest.approx(metrics.train_loss[0], rel=1e-6)
    assert list(metrics.index[metrics.lr.diff() < 0]) == [5, 9, 13]
    assert metrics.lr[13] == 1e-30 / 8


def test_loss_restart_follows_the_logged_loss(run):
    done = run(*HUNDRED, "optimizer.lr=0.02", "lr_scheduler=loss_restart", "lr_scheduler.threshold=0.7")
    t, above = 0, True
    for lr, loss in zip(done.metrics.lr, done.metrics.train_loss, strict=True):
        assert lr == pytest.approx(0.02 * (1 - t / 100) ** 2)
        fell = above and loss <= 0.7
        t, above = (0 if fell else t + 1), loss > 0.7
    assert t < 90  # it did restart


@pytest.mark.parametrize("override", ["lr_scheduler.T_max=0", "lr_scheduler.eta_min=-1"])
def test_ranges_are_checked_before_training(run, override):
    with pytest.raises(GradlabError, match=r"^lr_scheduler\.\w+ must be greater than or equal to "):
        run("lr_scheduler=cosine", override)
