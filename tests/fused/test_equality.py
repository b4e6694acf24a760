"""A run trained in a group leaves what it leaves alone, to rounding.

Equality to the last bit holds within one kernel only: no other run changes a bit, nor does the probe. Between the
batched kernels and those of a single run the last digits depend on the processor.
"""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tests.support.side_by_side import alone, parameter_distance, table_distance, together

from gradlab.fused import modules
from gradlab.fused.network import UnfusableError

# So short that rounding errors, which grow with the steps, stay rounding errors under any kernel.
SMALL = ("train.batch_size=8", "probe.every=4", "probe.full_every=2", "train.eval_every=4", "train.steps=9")
MLP = ("model.depth=4", "model.width=8", *SMALL)
CNN = ("model=cnn", "model.depth=4", "model.width=4", *SMALL)
SEQUENCE = ("data=adding", "data.length=8", "data.test_samples=20", "model.width=6", *SMALL)
FREE = ("clipping=norm", "clipping.max_norm=0.5", "lr_scheduler=cosine")


def assert_equal(alone: Path, fused: Path) -> None:
    assert {path.name for path in alone.iterdir()} == {path.name for path in fused.iterdir()}
    assert parameter_distance(alone, fused) < 1e-6
    for name in ("gradients.csv", "metrics.csv", "timesteps.csv"):
        if (alone / name).exists():
            assert table_distance(alone, fused, name).max() < 1e-4
    records = [json.loads((folder / "run.json").read_text()) for folder in (alone, fused)]
    assert records[1].pop("fused") > 1
    assert list(records[0]) == list(records[1])
    assert [v["name"] for v in records[0]["verdicts"]] == [v["name"] for v in records[1]["verdicts"]]
    for name in ("status", "steps", "fingerprint", "seed", "environment", "hidden_layers"):
        assert records[0][name] == records[1][name]


# The gradient of a bias in front of a batch normalization is zero but for rounding errors. An optimizer that divides by
# the gradient's own size turns them into steps of full length, unless its eps is larger.
DAMPED = "optimizer.eps=0.001"

CASES = {
    **{o: (*MLP, f"optimizer={o}") for o in ("momentum", "nesterov", "adagrad", "amsgrad", "radam", "adamax")},
    "sgd": (*MLP, "optimizer=sgd", *FREE, "normalization=batch_norm"),
    "adamw": (*MLP, "optimizer=adamw", "optimizer.weight_decay=0.3"),
    "nadam": (*MLP, "optimizer=nadam", "optimizer.momentum_decay=0.3"),
    "rmsprop": (*CNN, "optimizer=rmsprop", DAMPED, *FREE, "residual=identity"),
    "value": (*MLP, "activation=tanh", "clipping=value", "clipping.max_value=0.003"),
    "per_layer": (*MLP, "activation=tanh", "clipping=per_layer", "clipping.max_norm=0.05"),
    "adaptive": (*MLP, "activation=tanh", "clipping=adaptive"),
    "normalize": (*MLP, "activation=tanh", "clipping=normalize"),
    **{n: (*MLP, f"normalization={n}") for n in ("layer_norm", "rms_norm", "weight_norm")},
    **{r: (*MLP, f"residual={r}") for r in ("pre_activation", "scaled", "rezero", "highway", "fixup")},
    **{a: (*MLP, f"activation={a}") for a in ("prelu", "erf", "hardtanh")},
    **{s: (*MLP, f"lr_scheduler={s}") for s in ("one_cycle", "plateau", "loss_restart")},
    "adam, batch_norm": (*MLP, "optimizer=adam", DAMPED, *FREE, "normalization=batch_norm"),
    "rmsprop, batch_norm": (*MLP, "optimizer=rmsprop", DAMPED, *FREE, "normalization=batch_norm"),
    **{f"{o}, cnn": (*CNN, f"optimizer={o}", *FREE, "residual=identity") for o in ("sgd", "adam")},
    **{f"{o}, gru": (*SEQUENCE, "model=gru", f"optimizer={o}", *FREE) for o in ("sgd", "rmsprop", "adam")},
    "cnn, batch_norm": (*CNN, "residual=identity", "normalization=batch_norm", "model.shortcut=projection"),
    "two groups": (*MLP, "optimizer=adamw", "train.decay_biases=false"),
    "group_norm": (*MLP, "normalization=group_norm", "normalization.groups=2", "optimizer.lr=0.001"),
    "projection": (*CNN, "residual=pre_activation", "model.shortcut=projection", "normalization=layer_norm"),
    "circular": (*CNN, "residual=highway", "model.padding_mode=circular", "normalization=rms_norm"),
    "float64": (*CNN, "train.dtype=float64"),
    "lstm, layer_norm": (*SEQUENCE, "model=lstm", "normalization=layer_norm", "optimizer=momentum"),
    "relu": (*SEQUENCE, "model=rnn", "activation=relu", "model.bias=false"),
    "rnn": (*SEQUENCE, "model=rnn", "activation=prelu", "normalization=rms_norm"),
    "each step": ("data=copy_memory", "model=gru", "model.width=6", *SMALL),
    "deep": (*MLP, "model.depth=20", "activation=sigmoid"),
    "unrecorded": (*MLP, "probe=off"),
    "init": (*MLP, "train=init"),
}


def round_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the batched kernels round as another processor's might: they compute in float64 and round once."""
    linear, convolved = modules.batched_linear, modules._convolved

    def wide(*tensors):
        return [None if tensor is None else tensor.double() for tensor in tensors]

    monkeypatch.setattr(modules, "batched_linear", lambda x, w, b: linear(*wide(x, w, b)).to(x.dtype))
    monkeypatch.setattr(
        modules, "_convolved", lambda m, x, w, b, groups: convolved(m, *wide(x, w, b), groups=groups).to(x.dtype)
    )


@pytest.mark.parametrize("case", CASES)
def test_a_run_in_a_group_leaves_what_it_leaves_alone(case, tmp_path, monkeypatch):
    slower = 0.003 if any(word in case for word in ("lstm", "group_norm", "rmsprop", "adam", "amsgrad")) else 0.02
    runs = [(*CASES[case], "seed=0"), (*CASES[case], "seed=1", f"optimizer.lr={slower}")]
    own = alone(tmp_path, runs)
    for one, other in zip(own, together(tmp_path, runs), strict=True):
        assert_equal(one, other)
    round_otherwise(monkeypatch)
    for one, other in zip(own, together(tmp_path / "otherwise", runs), strict=True):
        assert_equal(one, other)


def test_runs_differ_in_all_numbers_of_optimizer_schedule_clipping_and_start(tmp_path):
    norm = (*MLP, "optimizer=momentum", "clipping=norm")
    runs = [
        (*norm, "lr_scheduler=plateau", "optimizer.momentum=0.5", "clipping.max_norm=0.1"),
        (*norm, "lr_scheduler=one_cycle", "optimizer.weight_decay=0.1", "seed=7"),
        (*norm, "initializer=orthogonal", "optimizer.dampening=0.3"),
        (*norm, "initializer=lsuv", "clipping.max_norm=100", "optimizer.lr=0.001"),
    ]
    folders = together(tmp_path, runs)
    for one, other in zip(alone(tmp_path, runs), folders, strict=True):
        assert_equal(one, other)
    losses = [json.loads((folder / "run.json").read_text())["metrics"]["train_loss"] for folder in folders]
    assert all(one != other for one, other in pairwise(sorted(losses)))


def parameters(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)["model"]


def assert_same_bits(one: Path, other: Path, *tables: str) -> None:
    for name in tables:
        assert (one / name).read_bytes() == (other / name).read_bytes()
    first, second = parameters(one), parameters(other)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_diverging_run_is_recorded_and_changes_no_bit_of_the_others(tmp_path):
    def runs(rate: str) -> list[tuple[str, ...]]:
        common = (*MLP, "clipping=adaptive", "optimizer=momentum")
        return [(*common, f"seed={seed}", f"optimizer.lr={rate if seed == 1 else 0.01}") for seed in range(3)]

    usual, diverging = together(tmp_path / "usual", runs("0.02")), together(tmp_path / "diverging", runs("1e30"))
    own = alone(tmp_path, runs("1e30"))
    assert json.loads((diverging[1] / "run.json").read_text())["status"] == "diverged"
    for one, other in zip(own, diverging, strict=True):
        assert_equal(one, other)
    for run in (0, 2):
        assert_same_bits(usual[run], diverging[run], "gradients.csv", "metrics.csv")


@pytest.mark.parametrize("net", [MLP, CNN, (*SEQUENCE, "model=gru")], ids=["mlp", "cnn", "gru"])
def test_a_group_done_twice_has_the_same_bytes_and_the_probe_changes_no_bit(net, tmp_path):
    runs = [(*net, f"seed={seed}") for seed in range(2)]
    first, again = together(tmp_path / "first", runs), together(tmp_path / "again", runs)
    unrecorded = together(tmp_path / "unrecorded", [(*own, "probe=off") for own in runs])
    for one, two, bare in zip(first, again, unrecorded, strict=True):
        assert_same_bits(one, two, "gradients.csv", "metrics.csv")
        assert_same_bits(one, bare)


def test_an_lstm_of_torch_runs_alone(tmp_path):
    with pytest.raises(UnfusableError, match="an LSTM is faster, one run at a time"):
        together(tmp_path, [(*SEQUENCE, "model=lstm", f"seed={seed}") for seed in range(2)])
