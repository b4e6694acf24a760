from math import inf

import pytest

from gradlab.diagnosis.gate import Gate


def record(*, ratio=1.0, accuracy=0.9, status="completed", verdict="healthy"):
    verdicts = [
        {"when": "initial", "name": "exploding", "sentence": "at first"},
        {"when": "final", "name": verdict, "sentence": f"it is {verdict}"},
    ]
    metrics = {"gradient_ratio_final": ratio, "eval_accuracy": accuracy}
    return {"status": status, "metrics": metrics, "verdicts": verdicts}


def test_by_default_everything_passes():
    assert Gate().reasons(**record(ratio=None, accuracy=None, status="diverged", verdict="not_finite")) == []


@pytest.mark.parametrize("ratio", [0.009, 101.0, "nan", "inf", None])
def test_a_ratio_outside_its_limits_does_not_pass(ratio):
    assert len(Gate(min_gradient_ratio=0.01, max_gradient_ratio=100.0).reasons(**record(ratio=ratio))) == 1


def test_what_was_not_seen_does_not_pass_a_gate_on_the_flow():
    unseen = record(ratio=None, verdict="shallow") | {"hidden_layers": 20}
    strict = Gate(fail_on=["vanishing", "diverged"])
    (reason,) = strict.reasons(**unseen)
    assert reason.startswith("the gradient flow was not seen: layer 1 or 20, the last hidden one, was not recorded")
    assert Gate(fail_on=["diverged", "dead_units"]).reasons(**unseen) == []
    assert strict.reasons(**record(ratio=None, verdict="shallow"), hidden_layers=0) == [], "there is nothing to see"
    over_time = record(ratio=None)
    over_time["metrics"]["time_gradient_ratio_final"] = 1.0
    assert strict.reasons(**over_time, hidden_layers=2) == []


def test_a_limit_holds_over_time_too():
    found = record()
    found["metrics"]["time_gradient_ratio_final"] = 1e-14
    assert Gate(min_gradient_ratio=0.01).reasons(**found) == ["gradient ratio over time 1e-14 lies outside [0.01, inf]"]


def test_where_nothing_was_recorded_nothing_passes():
    found = record() | {"verdicts": []}
    assert len(Gate(fail_on=["vanishing"]).reasons(**found)) == 1
    assert Gate(fail_on=["diverged"]).reasons(**found) == []


@pytest.mark.parametrize("ratio", [0.01, 100.0])
def test_the_limits_themselves_pass(ratio):
    assert Gate(min_gradient_ratio=0.01, max_gradient_ratio=100.0).reasons(**record(ratio=ratio)) == []


def test_a_lower_limit_alone_lets_a_zero_branch_pass():
    assert Gate(min_gradient_ratio=0.01).reasons(**record(ratio="inf")) == []


def test_low_or_unmeasured_accuracy_does_not_pass():
    assert Gate(min_accuracy=0.9).reasons(**record(accuracy=0.9)) == []
    assert Gate(min_accuracy=0.91).reasons(**record()) == ["accuracy 0.9 is below 0.91"]
    assert Gate(min_accuracy=0.5).reasons(**record(accuracy="nan")) == ["accuracy nan is below 0.5"]
    assert "not measured" in Gate(min_accuracy=0.1).reasons(**record(accuracy=None))[0]


def test_only_the_last_verdict_and_the_status_count():
    gate = Gate(fail_on=["exploding", "vanishing", "diverged"])
    assert gate.reasons(**record()) == []
    assert gate.reasons(**record(verdict="vanishing")) == ["it is vanishing"]
    assert gate.reasons(**record(status="diverged")) == ["the run diverged"]


@pytest.mark.parametrize(
    "limits",
    [
        {"min_gradient_ratio": -1.0},
        {"min_gradient_ratio": 2.0, "max_gradient_ratio": 1.0},
        {"max_gradient_ratio": float("nan")},
        {"min_accuracy": 1.5},
        {"fail_on": ["vanish"]},
    ],
)
def test_limits_that_cannot_be_kept_are_refused(limits):
    with pytest.raises(ValueError, match=next(iter(limits))):
        Gate(**limits)


def test_no_limit_is_infinity():
    assert Gate().max_gradient_ratio == inf
