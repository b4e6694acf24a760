"""The predicted line and the phase diagram, drawn from files alone."""

import json

import numpy as np
import pandas as pd
import pytest

from gradlab.view import figures, phase
from gradlab.view.sweeps import Sweep
from gradlab.view.theory import read_line


def put_theory(folder, theory):
    record = json.loads((folder / "run.json").read_text()) if (folder / "run.json").exists() else {}
    (folder / "run.json").write_text(json.dumps(record | {"theory": theory}))


def flat(depth, **more):
    prediction = {"log_gradients": [-2.0 * (depth - i) for i in range(1, depth + 1)], "chi": 0.9}
    prediction["depth_index"] = list(range(1, depth + 1))
    return {"column": "preactivation_grad_norm", "prediction": prediction, "tolerance": 0.1} | more


def test_the_line_hangs_on_the_last_hidden_layer(write_run):
    folder = write_run()
    put_theory(folder, flat(4))
    line = read_line(folder, "preactivation_grad_norm")
    assert 10 ** line.at(5.0) == pytest.approx(5.0 * np.exp([-3, -2, -1, 0]))
    assert read_line(folder, "activation_grad_norm") is None
    for nothing in ("no prediction: why", None, {}):
        put_theory(folder, nothing)
        assert read_line(folder, "preactivation_grad_norm") is None


def test_the_figure_names_it(write_run):
    folder = write_run()
    plain = figures.draw_run(folder, caption="")[1].read_text()
    put_theory(folder, flat(3))
    drawn = figures.draw_run(folder, caption="")[1].read_text()
    assert "theory" in drawn
    assert "theory" not in plain


def test_the_phase_diagram(tmp_path):
    folders, rows = [], []
    for number, (weight, bias, factor) in enumerate(
        [(0.5, 0.0, 0.5), (0.5, 0.1, 0.4), (3.0, 0.0, 1.4), (3.0, 0.1, 1.2)]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        theory = flat(3, measurement={"factor": factor})
        theory["prediction"]["chi"] = 1.1 if weight > 1 else 0.7
        put_theory(folder, theory)
        (folder / phase.LINE).write_text("q_star,weight_variance,bias_variance\n0.0,1.0,0.0\n1.0,2.0,0.1\n")
        folders.append(folder)
        rows.append({"initializer.weight_variance": str(weight), "initializer.bias_variance": str(bias)})
    sweep = Sweep(name="s", table=pd.DataFrame(rows), keys=list(rows[0]), folders=folders)
    assert phase.can_draw(sweep)
    sheet = phase.phase_diagram(sweep)
    assert "4 of 4" in sheet.figure.texts[0].get_text()
    line = next(line for line in sheet.figure.axes[0].get_lines() if line.get_label().startswith("theory"))
    assert list(line.get_xdata()) == [1.0, 2.0]
    assert [mark[1:3] for mark in sheet.marks] == [(0.5, 0.0), (0.5, 0.1), (3.0, 0.0), (3.0, 0.1)]
    (folders[0] / phase.LINE).unlink()
    put_theory(folders[1], "no prediction: why")
    assert phase.can_draw(sweep)
    phase.phase_diagram(sweep)
