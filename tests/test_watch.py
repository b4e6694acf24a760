import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from omegaconf import OmegaConf
from torch import nn

import gradlab
from gradlab.config.paths import CONFIGS
from gradlab.errors import GradlabError
from gradlab.probe.columns import FIGURES
from gradlab.watch import _THRESHOLDS
from tests.support.watching import batch, hooks, rows, small, train

ROOT = Path(__file__).parents[1]


def test_figures_equal_an_independent_recomputation(tmp_path):
    model, same = small(), small()
    with gradlab.watch(model, every=1, full_every=1, to=tmp_path) as probe:
        train(model, probe, clip=1e-3, zero_after=True)
    x, y = batch()
    outputs = [x]
    for layer in same:
        outputs.append(layer(outputs[-1]))
        outputs[-1].retain_grad()
    before = {name: p.detach().clone() for name, p in same.named_parameters()}
    nn.functional.cross_entropy(outputs[-1], y).backward()
    after = dict(model.named_parameters())
    for _, row in rows(tmp_path).iterrows():
        z, weight = outputs[int(row.layer) + 1], f"{row.layer}.weight"
        grad = same.get_parameter(weight).grad
        expected = {
            "preactivation_norm": z.norm(), "preactivation_std": z.std(correction=0),
            "preactivation_grad_norm": z.grad.norm(), "weight_norm": before[weight].norm(),
            "weight_grad_norm": grad.norm(),  # before clipping
            "weight_grad_cosine": nn.functional.cosine_similarity(before[weight].flatten(), grad.flatten(), dim=0),
            "update_norm": (after[weight] - before[weight]).norm(),
            "grad_log10_p50": z.grad.abs().log10().quantile(0.5),
        }  # fmt: skip
        for column, value in expected.items():
            assert row[column] == pytest.approx(value.item(), rel=2e-4), (row.layer, column)
        assert np.isnan(row.clipped_weight_grad_norm)


def test_gradient_accumulation_gives_the_figures_of_the_whole_batch(tmp_path):
    for name, parts in (("whole", 1), ("parts", 4)):
        with gradlab.watch(model := small(), every=1, full_every=1, to=tmp_path / name) as probe:
            train(model, probe, parts=parts, steps=3)
    whole, parts = rows(tmp_path / "whole"), rows(tmp_path / "parts")
    columns = [name for name in FIGURES if whole[name].notna().any()]
    np.testing.assert_allclose(parts[columns], whole[columns], rtol=2e-4)


def test_recording_leaves_training_unchanged_bit_for_bit(tmp_path):
    weights = []
    for every in (0, 1, 3):
        model = small()
        if every:
            with gradlab.watch(model, every=every, full_every=2, to=tmp_path / str(every)) as probe:
                train(model, probe, steps=7)
        else:
            train(model, None, steps=7)
        assert not hooks(model)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])
    assert rows(tmp_path / "3").step.unique().tolist() == [0, 3, 6]


def test_steps_that_are_not_recorded_have_no_hooks(tmp_path):
    model = small()
    with gradlab.watch(model, every=5, to=tmp_path) as probe:
        assert hooks(model)
        train(model, probe, steps=1)
        assert not hooks(model)
        train(model, probe, steps=4)
        assert hooks(model)
    assert not hooks(model)


def test_frozen_parameters_have_no_gradients_and_evaluations_are_not_recorded(tmp_path):
    model = small()
    model[0].requires_grad_(False)
    x, y = batch()
    for name, evaluated in (("plain", False), ("evaluated", True)):
        torch.manual_seed(0)
        with gradlab.watch(model, every=1, to=tmp_path / name) as probe:
            for inference in (torch.no_grad, torch.inference_mode) if evaluated else ():
                with inference():
                    model(10 * x)
            nn.functional.cross_entropy(model(x), y).backward()
            probe.step()
        model.zero_grad()
    table = rows(tmp_path / "plain")
    assert (tmp_path / "plain" / "gradients.csv").read_text() == (tmp_path / "evaluated" / "gradients.csv").read_text()
    frozen, trained = table.iloc[0], table.iloc[1]
    assert np.isnan(frozen.weight_grad_norm)
    assert np.isnan(frozen.preactivation_grad_norm)
    assert frozen.weight_norm > 0
    assert trained.weight_grad_norm > 0


@pytest.mark.parametrize("error", [RuntimeError("lost"), KeyboardInterrupt()])
def test_an_error_leaves_no_hook_and_a_complete_record(tmp_path, error):
    model = small()
    with pytest.raises(type(error)), gradlab.watch(model, every=2, to=tmp_path) as probe:  # noqa: PT012
        train(model, probe, steps=4)
        model(batch()[0])
        raise error
    assert not hooks(model)
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["status"] == ("failed" if isinstance(error, Exception) else "interrupted")
    assert record.get("error") == ("RuntimeError: lost" if isinstance(error, Exception) else None)
    assert record["steps"] == 4
    assert rows(tmp_path).step.unique().tolist() == [0, 2]


def test_run_json_has_status_metrics_verdicts_and_environment(tmp_path):
    model = small()
    with gradlab.watch(model, every=10, to=tmp_path / "deep" / "folder") as probe:
        for _ in range(11):
            nn.functional.cross_entropy(model(batch()[0]), batch()[1]).backward()
            probe.step(loss=torch.tensor(0.5, requires_grad=True))
    record = json.loads((tmp_path / "deep" / "folder" / "run.json").read_text())
    table = rows(tmp_path / "deep" / "folder")
    assert (record["status"], record["steps"], record["hidden_layers"], record["model"]) == (
        "completed", 11, 2, "Sequential")  # fmt: skip
    norms = table[table.step == 0].preactivation_grad_norm.tolist()
    assert record["metrics"]["gradient_ratio_initial"] == pytest.approx(norms[0] / norms[1])
    assert [verdict["step"] for verdict in record["verdicts"]] == [0, 10]
    assert record["environment"]["device"] == "cpu"
    metrics = pd.read_csv(tmp_path / "deep" / "folder" / "metrics.csv")
    assert metrics[["step", "train_loss"]].to_numpy().tolist() == [[0, 0.5], [10, 0.5]]


def test_unusable_arguments_are_refused_in_one_line(tmp_path):
    model = small()
    with gradlab.watch(model, to=tmp_path) as probe:
        train(model, probe)
    with pytest.raises(GradlabError, match=r"holds a run already \(run.json\); give another folder"):
        gradlab.watch(model, to=tmp_path)
    with pytest.raises(GradlabError, match=r"probe.step\(\) must be called inside the with block"):
        probe.step()
    with pytest.raises(GradlabError, match="every and full_every must be at least 1, got 0"):
        gradlab.watch(model, every=0, to=tmp_path / "a")
    with pytest.raises(GradlabError, match="matches no layer; there are 0, 2, 4"):
        gradlab.watch(model, layers=["conv*"], to=tmp_path / "a")
    with pytest.raises(GradlabError, match="ReLU has no weight layer"):
        gradlab.watch(nn.ReLU(), to=tmp_path / "a")
    assert not (tmp_path / "a").exists()
    with pytest.raises(GradlabError, match="no layer of Sequential was called"):  # noqa: SIM117
        with gradlab.watch(model, to=tmp_path / "b") as probe:
            train(small(), probe)


@pytest.mark.slow
def test_a_compiled_model_is_refused(tmp_path):
    with pytest.raises(GradlabError, match=r"give the module that was passed to torch\.compile"):
        gradlab.watch(torch.compile(small()), to=tmp_path)


def test_the_imported_module_can_be_called_like_the_function(tmp_path):
    code = "import gradlab.watch; gradlab.watch({}, to='x')"
    done = subprocess.run(
        [sys.executable, "-c", f"from torch import nn; {code.format('nn.ReLU()')}"], capture_output=True
    )
    assert b"ReLU has no weight layer" in done.stderr


def test_a_resnet_has_a_row_for_every_weight_in_the_order_of_calls(tmp_path):
    model = torchvision.models.resnet18(num_classes=10)
    with gradlab.watch(model, to=tmp_path) as probe:
        model(torch.randn(2, 3, 32, 32)).sum().backward()
        probe.step()
    table = rows(tmp_path)
    layers = table.layer.tolist()
    assert table.depth_index.tolist() == list(range(1, 22))
    assert (layers[0], layers[-1]) == ("conv1", "fc")
    assert layers[5:9] == ["layer2.0.conv1", "layer2.0.conv2", "layer2.0.downsample.0", "layer2.1.conv1"]
    assert table[["preactivation_grad_norm", "weight_grad_norm"]].notna().all(axis=None)


def test_thresholds_are_those_of_the_command_line():
    shipped = OmegaConf.load(CONFIGS / "diagnosis" / "default.yaml")
    for name in ("vanishing_ratio", "exploding_ratio"):
        assert getattr(_THRESHOLDS, name) == shipped[name]


def test_the_readme_s_lines_run(tmp_path):
    (block,) = re.findall(r"```python\n([^`]*gradlab\.watch\([^`]*)```", (ROOT / "README.md").read_text())
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "outputs" / "mine").step.unique().tolist() == [0, 10, 20]
    assert json.loads((tmp_path / "outputs" / "mine" / "run.json").read_text())["status"] == "completed"


def test_a_loop_that_never_calls_step_is_warned_of(tmp_path):
    with pytest.warns(UserWarning, match=r"probe\.step\(\) was never called"), gradlab.watch(small(), to=tmp_path):
        pass
    (line,) = json.loads((tmp_path / "run.json").read_text())["warnings"]
    assert "nothing was recorded" in line


def test_a_cell_that_is_executed_again_may_overwrite_its_run(tmp_path):
    for steps in (5, 3):
        with gradlab.watch(model := small(), every=1, to=tmp_path, overwrite=True) as probe:
            train(model, probe, steps=steps)
    assert json.loads((tmp_path / "run.json").read_text())["steps"] == 3
    assert sorted(set(rows(tmp_path).step)) == [0, 1, 2]


def test_only_public_names_are_listed():
    assert dir(gradlab) == sorted(gradlab.__all__)
    assert "Any" not in dir(gradlab)
