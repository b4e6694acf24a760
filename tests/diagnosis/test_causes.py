"""Each rule on tables made up for it: it fires, names the root cause, and keeps silent where nothing is wrong."""

from dataclasses import replace

import numpy as np
import pytest
from tests.support.evidences import PLAIN, make, untrained

from gradlab.diagnosis.causes import FAULTS, diagnose
from gradlab.diagnosis.thresholds import Thresholds

LIMITS = Thresholds()
DEPTHS = np.arange(6)
LEARNED = np.linspace(2.4, 0.1, 11)


def found(evidence, limits=LIMITS):
    return [verdict.name for verdict in diagnose(evidence, limits)]


def late(value, *, usual=0.1):
    """A column that is usual at first and something else in the end."""
    table = np.full((11, 6), usual)
    table[5:] = value
    return table


def test_an_untrained_sound_net_has_no_fault():
    assert found(untrained()) == []


def test_a_net_that_learns_has_no_fault_whatever_its_gradients():
    wild = {"preactivation_grad_norm": 1e-3 ** DEPTHS[::-1], "dead_fraction": 0.95, "update_ratio": 1e-9}
    assert found(make(losses=LEARNED, **wild)) == []
    assert found(make(**wild))[0] == "dead_units"


def test_accuracy_excuses_a_high_loss():
    run = replace(make(losses=np.full(11, 9.0)), accuracies=np.linspace(0.1, 0.9, 11))
    assert found(run) == []
    assert "loss_not_falling" in found(replace(run, accuracies=np.full(11, 0.12)))


def test_what_is_learned_by_heart_alone_is_not_learned():
    run = replace(
        make(losses=np.linspace(2.4, 1.9, 11)), test_losses=np.full(11, 2.5), test_accuracies=np.full(11, 0.1)
    )
    (verdict,) = diagnose(run, LIMITS)
    assert (verdict.name, "test set" in verdict.sentence) == ("loss_not_falling", True)
    assert found(replace(run, test_accuracies=np.full(11, 0.3))) == []


def test_without_a_history_only_structure_is_judged():
    short = make(moments=3, losses=[2.3, 2.3, 2.3], update_ratio=1e-9)
    assert found(short) == []
    assert found(make(moments=3, losses=[2.3] * 3, preactivation_grad_norm=0.01 ** DEPTHS[::-1])) == ["vanishing"]


@pytest.mark.parametrize(("factor", "name"), [(0.3, "vanishing"), (4.0, "exploding")])
def test_gradients_that_change_by_a_factor_per_layer(factor, name):
    (verdict,) = diagnose(untrained(preactivation_grad_norm=factor ** DEPTHS[::-1]), LIMITS)
    assert (verdict.name, verdict.column, verdict.layers[0]) == (name, "preactivation_grad_norm", 1)
    assert verdict.value == pytest.approx(factor**4)
    assert f"x {factor:.3g} per layer" in verdict.sentence


def test_one_noisy_batch_at_the_end_is_no_vanishing():
    table = np.ones((11, 6))
    table[-1] = 0.1 ** DEPTHS[::-1]
    assert found(make(losses=np.linspace(2.4, 1.9, 11), preactivation_grad_norm=table)) == []
    table[-4:] = 0.1 ** DEPTHS[::-1]
    assert found(make(losses=np.linspace(2.4, 1.9, 11), preactivation_grad_norm=table)) == ["vanishing"]


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_a_signal_that_dies_or_blows_up_is_the_initialization(factor):
    both = {"preactivation_std": factor**DEPTHS, "preactivation_grad_norm": factor ** DEPTHS[::-1]}
    verdicts = diagnose(untrained(**both), LIMITS)
    assert verdicts[0].name == "poor_initialization"
    assert f"x {factor:.3g} per layer" in verdicts[0].sentence
    assert verdicts[1].name in ("vanishing", "exploding_activations", "exploding")
    skips = replace(PLAIN, residual="identity")
    assert "poor_initialization" not in found(untrained(setting=skips, **both))


def test_weights_of_zero_are_the_cause_of_missing_gradients():
    run = untrained(weight_norm=0.0, preactivation_grad_norm=0.0, preactivation_std=0.0)
    assert found(run) == ["poor_initialization", "zero"]


def test_batch_norm_explains_an_explosion_in_a_plain_net_only():
    grows = {"hidden": 40, "preactivation_grad_norm": 1.2 ** np.arange(41)[::-1]}
    plain = replace(PLAIN, normalization="batch_norm")
    assert found(untrained(setting=plain, **grows)) == ["batch_norm_explosion", "exploding"]
    assert found(untrained(setting=replace(plain, residual="identity"), **grows)) == ["exploding"]
    assert found(untrained(setting=plain)) == []


def test_a_dead_layer_explains_what_vanishes_before_it():
    gradient = np.where(DEPTHS < 3, 1e-9, 1.0)
    dead = np.where(DEPTHS == 3, 1.0, 0.1)
    verdicts = diagnose(make(dead_fraction=dead, preactivation_grad_norm=gradient), LIMITS)
    assert [verdict.name for verdict in verdicts][:2] == ["dead_units", "vanishing"]
    assert verdicts[0].layers == (4,)
    assert verdicts[1].layers == (1, 2, 3)


def test_a_rate_that_kills_units_is_named_before_them():
    ratios = late(1e-5, usual=2.0)
    run = make(losses=[2.3, 40.0, *[2.31] * 9], dead_fraction=late(1.0), update_ratio=ratios)
    assert found(run)[0] == "learning_rate_too_high"
    assert "dead_units" in found(run)


def test_dead_units_explain_saturation_and_not_the_other_way_round():
    """A unit that outputs 0 for every sample passes nothing on; a flat one still passes a little."""
    tanh = replace(PLAIN, activation="tanh")
    assert found(untrained(dead_fraction=1.0, saturated_fraction=0.9, setting=tanh)) == ["dead_units", "saturation"]
    later = make(dead_fraction=late(1.0), saturated_fraction=late(0.9), setting=tanh)
    assert found(later)[:2] == ["dead_units", "saturation"]


def test_dead_branches_beside_a_skip_are_no_obstacle():
    dead = np.where(DEPTHS == 3, 1.0, 0.1)
    skips = {"skip_grad_norm": 1.0, "activation_grad_norm": 1.0}
    assert found(untrained(dead_fraction=dead, **skips)) == []
    assert found(untrained(dead_fraction=1.0, **skips)) == ["dead_units"]


def test_only_bounded_activations_saturate():
    assert found(untrained(saturated_fraction=0.9)) == []
    assert found(untrained(saturated_fraction=0.9, setting=replace(PLAIN, activation="tanh"))) == ["saturation"]


def test_the_rate_that_moves_nothing_and_the_one_that_throws_about():
    assert found(make(update_ratio=1e-7))[0] == "learning_rate_too_low"
    assert found(make(update_ratio=0.5))[0] == "learning_rate_too_high"
    assert found(make(status="diverged", losses=[2.3, 5.0, np.inf]))[0] == "learning_rate_too_high"
    (verdict,) = [v for v in diagnose(make(update_ratio=1e-5), LIMITS) if v.name == "learning_rate_too_low"]
    assert verdict.value == pytest.approx(1e-5 * 101)  # 100 steps between the recorded ones, and the last
    assert "0.1" in verdict.sentence


def test_frozen_layers_are_meant_to_stay():
    frozen = make(update_ratio=0.0, setting=replace(PLAIN, freezes=True))
    assert found(frozen) == ["loss_not_falling"]


def test_clipping_that_sets_the_step():
    run = make(update_ratio=1e-6)
    clipped = replace(run, clipped_norms=np.full(11, 1e-3))
    assert found(clipped)[0] == "clipping_always_active"
    assert "clipping_always_active" not in found(replace(clipped, columns=make(update_ratio=0.01).columns))
    rarely = np.where(np.arange(11) % 2, 1e-3, 1.0)
    assert "clipping_always_active" not in found(replace(run, clipped_norms=rarely))


def test_a_loss_that_oscillates_and_one_that_stays():
    swings = 2.3 + 1.5 * (-1.0) ** np.arange(21)
    assert found(make(moments=21, losses=swings))[0] == "oscillating_loss"
    assert found(make()) == ["loss_not_falling"]
    noisy = 2.3 + 0.1 * np.random.default_rng(0).normal(size=31)
    assert found(make(moments=31, losses=noisy)) == ["loss_not_falling"]


def test_nothing_finite_is_never_called_vanishing():
    broken = untrained(preactivation_grad_norm=np.inf, preactivation_norm=np.inf, preactivation_std=np.inf)
    assert found(replace(broken, losses=np.array([np.inf]))) == ["not_finite", "diverged"]


def test_underflow_follows_from_vanishing_and_overflow_from_what_explodes():
    gradient = np.array([0.0, 1e-40, 1e-30, 1e-20, 1e-10, 1.0])
    assert found(untrained(preactivation_grad_norm=gradient)) == ["vanishing", "underflow"]
    signal = {name: np.array([1e2, 1e20, 1e36, np.inf, np.inf, np.inf]) for name in ("preactivation_norm",)}
    verdicts = diagnose(untrained(preactivation_std=100.0**DEPTHS, **signal), LIMITS)
    assert verdicts[0].name == "poor_initialization"
    assert verdicts[-1].name == "overflow"


def test_memory_is_measured_against_the_lag():
    times = np.tile(0.8 ** np.arange(60)[::-1], (11, 1))  # below 1/100 after 21 steps
    asks = replace(PLAIN, lag=40)
    verdicts = diagnose(make(hidden=1, times=times, setting=asks), LIMITS)
    assert [verdict.name for verdict in verdicts][:2] == ["short_memory", "vanishing"]
    assert "within 21 time steps" in verdicts[0].sentence
    assert "short_memory" not in found(make(hidden=1, times=times, setting=replace(PLAIN, lag=15)))
    assert found(make(hidden=1, times=times, losses=LEARNED, setting=asks)) == []


def test_thresholds_are_what_a_figure_is_compared_with():
    gradient = 0.3 ** DEPTHS[::-1]
    assert found(untrained(preactivation_grad_norm=gradient), Thresholds(vanishing_ratio=1e-4)) == []


def test_every_fault_has_a_source_and_an_order():
    assert {"vanishing", "exploding", "short_memory", "loss_not_falling", "diverged"} < set(FAULTS)
    runs = [make(), make(update_ratio=1e-7), make(update_ratio=0.5), untrained(preactivation_std=10.0**DEPTHS)]
    assert all(verdict.source for run in runs for verdict in diagnose(run, LIMITS))


@pytest.mark.parametrize(
    ("limits", "named"),
    [({"dead_share": 1.5}, "dead_share"), ({"signal_ratio": 0.5}, "signal_ratio"),
     ({"update_small": 0.0}, "update_small"), ({"learned_share": 0.95}, "learned_share")],
)  # fmt: skip
def test_limits_that_make_no_sense_are_refused(limits, named):
    with pytest.raises(ValueError, match=named):
        Thresholds(**limits)
