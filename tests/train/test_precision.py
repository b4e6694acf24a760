"""Short number types, accumulation and compilation: what they must change, and what not."""

import json

import pandas as pd
import pytest
import torch
from tests.support.running import compose_config

from gradlab.config import build
from gradlab.errors import GradlabError
from gradlab.probe.columns import COLUMNS, SHARES
from gradlab.run.assemble import assemble

SMALL = ("model.depth=4", "model.width=16", "train.steps=12", "train.eval_every=5")
GRADIENTS = ["preactivation_grad_norm", "activation_grad_norm", "weight_grad_norm", "skip_grad_norm", "grad_log10_p95"]


def train(*overrides):
    """Do a run without files: the loop, its metrics, its rows."""
    loop = assemble(compose_config(*SMALL, *overrides))
    metrics = list(loop.run())
    return loop, pd.DataFrame(metrics), pd.DataFrame(loop.probe.take().layers, columns=COLUMNS)


def weights(loop):
    return [value.clone() for value in loop.model.state_dict().values()]


def same(these, those):
    return all(torch.equal(a, b) for a, b in zip(these, those, strict=True))


PARTS = ("residual=stochastic_depth", "normalization=batch_norm")


@pytest.mark.parametrize("overrides", [
    ("train.autocast=bf16", *PARTS),
    ("train.accumulate=3", *PARTS),
    ("train.autocast=fp16", "train.accumulate=2", "normalization=weight_norm", "clipping=norm"),
    pytest.param(("train.compile=true", "train.autocast=bf16", "train.accumulate=2", *PARTS), marks=pytest.mark.slow),
])  # fmt: skip
def test_the_probe_changes_no_bit(overrides):
    everything, metrics, rows = train(*overrides, "probe=full")
    nothing, _, _ = train(*overrides, "probe=off")
    assert same(weights(everything), weights(nothing))
    assert rows.step.nunique() == 12
    assert metrics.train_loss.notna().all()


@pytest.mark.parametrize("autocast", ["bf16", "fp16"])
def test_short_types_are_near_the_long_one(autocast):
    parts = ("probe=full", "residual=pre_activation", "activation=tanh", "train.steps=1")
    _, metrics, rows = train(*parts, f"train.autocast={autocast}")
    _, long_metrics, long_rows = train(*parts)
    assert metrics.train_loss[0] != long_metrics.train_loss[0]
    assert metrics.train_loss[0] == pytest.approx(long_metrics.train_loss[0], rel=0.02)
    for column in (*GRADIENTS, "preactivation_std", "activation_slope_rms", "update_norm"):
        assert rows[column].isna().equals(long_rows[column].isna())
        assert rows[column].dropna().to_numpy() == pytest.approx(long_rows[column].dropna().to_numpy(), rel=0.05)


def test_recorded_gradients_do_not_know_the_scale():
    """The same float16 pass with another power of two gives the same figures, where nothing underflows."""

    def measure(scale):
        loop = assemble(compose_config(*SMALL, "train.steps=1", "train.autocast=fp16", "residual=pre_activation",
                                       "normalization=weight_norm", "model.auxiliary_every=2"))  # fmt: skip
        loop.precision.load_state_dict({"skipped": torch.tensor(0), "scaler": {
            "scale": scale, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000, "_growth_tracker": 0,
        }})  # fmt: skip
        (metrics,) = list(loop.run())
        recording = loop.probe.take()
        return metrics, pd.DataFrame(recording.layers, columns=COLUMNS), pd.DataFrame(recording.shares, columns=SHARES)

    (small, small_rows, small_shares), (large, large_rows, large_shares) = measure(2.0**10), measure(2.0**14)
    assert small["grad_norm"] == pytest.approx(large["grad_norm"], rel=1e-4)
    assert small_rows[GRADIENTS].notna().any().all()
    for a, b, columns in ((small_rows, large_rows, GRADIENTS), (small_shares, large_shares, ["loss", "grad_norm"])):
        for column in columns:  # float16 denormals apart
            assert a[column].dropna().to_numpy() == pytest.approx(b[column].dropna().to_numpy(), rel=1e-3)


def test_float16_gradients_that_overflow_skip_the_step(run):
    data = ("data=linear_regression", "data.slope=3000", "data.standardize_target=false", "optimizer=momentum")
    config = (*data, "model.depth=2", "probe=full", "train.steps=8", "train.eval_every=0", "lr_scheduler=cosine")
    done = run(*config, "train.autocast=fp16")
    record = json.loads((done.folder / "run.json").read_text())
    assert record["status"] == "completed"
    assert record["metrics"]["skipped_steps"] == 8
    assert (done.gradients.update_norm == 0).all()
    assert not torch.tensor(done.metrics.grad_norm).isfinite().any()
    assert done.metrics.lr.is_monotonic_decreasing
    assert done.metrics.lr.nunique() == 8
    plain = run(*config, "train.autocast=bf16", "optimizer.lr=1e-9")
    assert json.loads((plain.folder / "run.json").read_text())["metrics"]["skipped_steps"] == 0
    assert (plain.gradients.update_norm > 0).all()


def test_mini_batches_add_up_to_the_batch_that_they_make():
    """Four batches of 16 in one step are one batch of 64: the order is the same, and means of means are means."""
    parts = ("train.dtype=float64", "train.steps=3", "residual=pre_activation", "clipping=norm", "probe=full",
             "train.eval_every=0")  # fmt: skip
    few, few_metrics, few_rows = train(*parts, "train.accumulate=4", "train.batch_size=16")
    one, one_metrics, one_rows = train(*parts, "train.batch_size=64")
    assert list(few_metrics.columns) == list(one_metrics.columns)
    # an epoch of 1400 samples is 87 whole batches of 16, but 21 of 64
    few_metrics, one_metrics = (table.drop(columns="epoch") for table in (few_metrics, one_metrics))
    assert few_metrics.to_numpy() == pytest.approx(one_metrics.to_numpy(), rel=1e-9)
    for a, b in zip(weights(few), weights(one), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    assert list(few_rows.layer) == list(one_rows.layer)
    figures = few_rows.columns[4:]
    assert few_rows[figures].to_numpy(float) == pytest.approx(one_rows[figures].to_numpy(float), rel=1e-7, nan_ok=True)


def test_a_mini_batch_that_diverges_is_recorded_with_its_step():
    loop = assemble(compose_config(*SMALL, "train.accumulate=2", "probe.every=1000", "train.autocast=bf16"))
    steps = iter(loop.batches)

    class Breaks:
        epoch = 0.0
        drawn = 0

        def __next__(self):
            self.drawn += 1
            inputs, targets = next(steps)
            return (inputs * float("inf") if self.drawn == 10 else inputs), targets

    loop.batches = Breaks()
    *_, last = list(loop.run())
    rows = loop.probe.take().layers
    assert loop.status == "diverged"
    assert (last["step"], loop.step) == (4, 5)
    assert {row[0] for row in rows} == {0, 4}


@pytest.mark.slow
def test_a_compiled_run_is_measured_as_it_is():
    """Bits differ from the eager run, figures do not; signals are measured in a second, eager pass."""
    parts = ("probe=full", "residual=identity", "train.steps=5")
    _, metrics, rows = train(*parts, "train.compile=true")
    _, plain_metrics, plain_rows = train(*parts)
    assert metrics.train_loss.to_numpy() == pytest.approx(plain_metrics.train_loss.to_numpy(), rel=1e-4)
    for column in (*GRADIENTS, "preactivation_norm", "update_ratio", "clipped_weight_grad_norm"):
        assert rows[column].to_numpy() == pytest.approx(plain_rows[column].to_numpy(), rel=1e-3, nan_ok=True)


@pytest.mark.parametrize(("overrides", "message"), [
    (("train.autocast=bf16", "train.dtype=float64"), "train.autocast=bf16 lowers the precision of float32 and has"),
    (("train.tf32=true", "train.dtype=float64"), "train.tf32=true lowers the precision of float32 and has no effect"),
    (("train.checkpoint_every=5", "train.checkpoint=false"), "train.checkpoint_every=5 needs train.checkpoint=true"),
    (("train.autocast=fp8",), "train.autocast must be one of none, bf16, fp16, got fp8"),
    (("train.accumulate=0",), "train.accumulate must be an integer of at least 1, got 0"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused(overrides, message):
    with pytest.raises(GradlabError) as refusal:
        build.check(compose_config(*overrides))
    assert str(refusal.value).startswith(message)


def test_what_this_machine_or_model_cannot_do_is_refused():
    with pytest.raises(GradlabError, match="TF32 is for CUDA, and this run is on the cpu"):
        assemble(compose_config("train.tf32=true", "train.device=cpu"))
    with pytest.raises(GradlabError, match="auxiliary heads are measured one batch a step"):
        assemble(compose_config(*SMALL, "train.accumulate=2", "model.auxiliary_every=2"))


def test_a_recurrent_layer_without_a_kernel_for_short_numbers_is_refused_before_the_run(monkeypatch):
    """As oneDNN does on a CPU without bfloat16, where GRU and RNN still work."""

    def fail(*args):
        raise RuntimeError("could not create a primitive descriptor for the LSTM forward propagation primitive")

    monkeypatch.setattr(torch.nn.LSTM, "forward", fail)
    message = "train.autocast: torch has no LSTM in bfloat16 for this cpu; use train.autocast=none (could not"
    with pytest.raises(GradlabError) as refusal:
        assemble(compose_config("model=lstm", "data=adding", "train.autocast=bf16", "train.device=cpu"))
    assert str(refusal.value).startswith(message)
    assemble(compose_config("model=gru", "data=adding", "train.autocast=bf16", "train.device=cpu"))
    with pytest.raises(GradlabError, match="torch has no float16 recurrent nets on a CPU"):
        assemble(compose_config("model=gru", "data=adding", "train.autocast=fp16", "train.device=cpu"))


@pytest.mark.parametrize("model", ["rnn", "lstm", "gru"])
def test_recurrent_nets_are_unrolled_in_the_short_number_type(run, model):
    try:
        row = run(f"model={model}", "model.width=8", "train.autocast=bf16", "train.steps=2", "train.eval_every=0")
    except GradlabError as error:
        pytest.skip(str(error))  # not every CPU has bfloat16
    assert row.gradients.preactivation_grad_norm.gt(0).all()
