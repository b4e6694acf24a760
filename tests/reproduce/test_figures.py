import json
from math import exp, inf

import pytest

from gradlab.reproduce import figures


@pytest.fixture
def folder(tmp_path):
    """A run of three hidden layers whose dL/dz halves per layer, with a gate beside it, and a time axis."""
    (tmp_path / "run.json").write_text(
        json.dumps({"status": "diverged", "metrics": {"eval_accuracy": 0.25, "train_loss": "nan"}})
    )
    (tmp_path / "metrics.csv").write_text("step,train_loss,eval_loss\n0,5,9\n10,2,\n20,3,1\n")
    rows = [f"0,{n},l{n},main,{2.0**n}" for n in (1, 2, 3)] + ["0,2,g,gate,77", "0,4,head,main,99"]
    rows += [f"10,{n},l{n},main,{5 - n}" for n in (1, 2, 3)] + ["10,4,head,main,99"]
    (tmp_path / "gradients.csv").write_text("\n".join(["step,depth_index,layer,role,norm", *rows]))
    times = [f"0,1,a,{t},{exp(0.5 * t)}" for t in range(5)] + [f"0,2,b,{t},1" for t in range(5)]
    (tmp_path / "timesteps.csv").write_text("\n".join(["step,depth_index,layer,time,hidden", *times]))
    (tmp_path / "neighbours.csv").write_text(
        "step,depth_index,layer,lag,grad_cosine\n0,1,a,1,0.75\n0,1,a,4,0.5\n0,2,b,1,0.25\n10,1,a,1,0\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("recorded", {"name": "metrics.eval_accuracy"}, 0.25),
        ("diverged", {}, 1),
        ("lowest", {"column": "train_loss"}, 2),
        ("highest", {"column": "train_loss"}, 5),
        ("final", {"column": "eval_loss"}, 1),
        ("final", {"column": "train_loss", "over": 2}, 2.5),
        ("steps_until", {"column": "train_loss", "below": 3}, 10),
        ("steps_until", {"column": "eval_loss", "below": 1}, inf),
        ("at_layer", {"column": "norm", "layer": 1}, 2),
        ("at_layer", {"column": "norm", "layer": -1, "step": 10}, 2),
        ("growth", {"column": "norm"}, 0.5),
        ("growth", {"column": "norm", "first": 2, "last": 3, "step": 10}, 1.5),
        ("first_over_last", {"column": "norm"}, 0.25),
        ("unevenness", {"column": "norm"}, 3),
        ("time_growth", {"column": "hidden"}, exp(-0.5)),
        ("time_growth", {"column": "hidden", "first": 1, "last": 3}, exp(-0.5)),
        ("likeness", {}, 0.75),
        ("likeness", {"lag": 4}, 0.5),
        ("likeness", {"layer": 2}, 0.25),
        ("likeness", {"step": 10}, 0),
    ],
)
def test_figures(folder, name, arguments, value):
    assert getattr(figures, name)(folder, **arguments) == pytest.approx(value)


def test_the_loss_of_a_diverged_run_is_nan(folder):
    assert figures.recorded(folder, name="metrics.train_loss") != figures.recorded(folder, name="metrics.train_loss")
