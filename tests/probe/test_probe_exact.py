"""The probe's figures against an independent recomputation by torch.autograd.grad."""

from math import sqrt

import numpy as np
import pytest
import torch
from tests.support.running import compose_config

from gradlab.probe.columns import COLUMNS
from gradlab.run.assemble import assemble

NORMALIZATIONS = ["none", "batch_norm", "layer_norm", "group_norm", "rms_norm", "weight_norm"]
RESIDUALS = [
    "none",
    "identity",
    "pre_activation",
    "scaled",
    "rezero",
    "skip_init",
    "fixup",
    "stochastic_depth",
    "highway",
]


MODELS = {
    "mlp": ("model.depth=5", "model.width=24"),
    # 32 maps of 24 channels and 8 x 8 pixels are more than one chunk of numbers; two blocks of four change the shape
    "cnn": ("model=cnn", "model.depth=7", "model.width=24", "model.stages=3", "model.shortcut=projection"),
}


def first_step(*overrides, model="mlp"):
    """Return the rows of one full step, and the loop in its state before that step."""
    cfg = compose_config("train=init", "probe=full", "train.batch_size=32", *MODELS[model], *overrides)
    loop = assemble(cfg)
    state = {name: value.clone() for name, value in loop.model.state_dict().items()}
    random, order = torch.get_rng_state(), loop.batches.state_dict()
    list(loop.run())
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in loop.probe.take().layers]
    loop.model.load_state_dict(state)
    torch.set_rng_state(random)
    loop.batches.load_state_dict(order)
    return rows, loop


def recompute(loop):
    """Recompute the step independently: outputs kept by forward hooks, gradients by torch.autograd.grad."""
    model, points = loop.model, list(loop.model.points())
    kept = [{} for _ in points]
    handles = []
    for point, slot in zip(points, kept, strict=True):

        def keep(module, args, output, *, slot, name):
            slot[name] = output

        def keep_input(module, args, *, slot):
            slot["input"] = args[0]

        for name in ("affine", "output", "activation", "fork"):
            module = getattr(point, name)
            if module is not None:
                hook = lambda m, a, o, slot=slot, name=name: keep(m, a, o, slot=slot, name=name)  # noqa: E731
                handles.append(module.register_forward_hook(hook))
        if point.activation is not None:
            handles.append(
                point.activation.register_forward_pre_hook(lambda m, a, slot=slot: keep_input(m, a, slot=slot))
            )
        if torch.nn.utils.parametrize.is_parametrized(point.affine):
            weights = point.affine.parametrizations.weight
            handles.append(
                weights.register_forward_hook(lambda m, a, o, slot=slot: keep(m, a, o, slot=slot, name="weight"))
            )
    inputs, targets = next(loop.batches)
    loss = loop.task.loss(model(inputs), targets)
    for handle in handles:
        handle.remove()
    for point, slot in zip(points, kept, strict=True):
        slot.setdefault("weight", point.affine.weight)
        names = ["affine", "output", "weight"] + (["fork"] if point.fork is not None else [])
        grads = torch.autograd.grad(loss, [slot[n] for n in names], retain_graph=True)
        slot |= {f"d_{n}": g for n, g in zip(names, grads, strict=True)}
    return points, kept


KINDS = [(dtype, model) for dtype in ("float32", "float64") for model in MODELS]
CASES = [  # each pair of parts in one kind of run; the other kinds are slow tests
    pytest.param(normalization, residual, *kind, marks=() if k == (i + j) % len(KINDS) else pytest.mark.slow)
    for i, normalization in enumerate(NORMALIZATIONS)
    for j, residual in enumerate(RESIDUALS)
    for k, kind in enumerate(KINDS)
]


@pytest.mark.parametrize(("normalization", "residual", "dtype", "model"), CASES)
def test_figures_equal_an_independent_recomputation(normalization, residual, dtype, model):
    rows, loop = first_step(
        f"normalization={normalization}", f"residual={residual}", "activation=gelu", "model.block_depth=2",
        f"train.dtype={dtype}", model=model,
    )  # fmt: skip
    points, kept = recompute(loop)
    tolerance = 1e-6 if dtype == "float32" else 1e-9
    assert len(rows) == len(points)
    for row, point, slot in zip(rows, points, kept, strict=True):

        def norm(name, slot=slot):
            return float(torch.linalg.vector_norm(slot[name].detach().double()))

        def same(column, value, *, row=row, scale=None):
            assert row[column] == pytest.approx(
                value, rel=tolerance if scale is None else 0, abs=tolerance * (scale or 0)
            )

        assert (row["depth_index"], row["role"]) == (point.depth_index, point.role)
        same("preactivation_norm", norm("affine"))
        same("activation_norm", norm("output"))
        same("preactivation_grad_norm", norm("d_affine"))
        same("activation_grad_norm", norm("d_output"))
        same("weight_norm", norm("weight"))
        same("weight_grad_norm", norm("d_weight"))
        for column, name in (("preactivation", "affine"), ("activation", "output")):
            rms = norm(name) / sqrt(slot[name].numel())
            same(f"{column}_std", float(slot[name].detach().double().std(correction=0)), scale=rms)
        same(
            "activation_mean",
            float(slot["output"].detach().double().mean()),
            scale=norm("output") / sqrt(slot["output"].numel()),
        )
        if norm("d_weight") > 0:
            weight, grad = slot["weight"].detach().double(), slot["d_weight"].double()
            cosine = (
                float((weight * grad).sum()) / norm("weight") / norm("d_weight") if norm("weight") else float("nan")
            )
            assert row["weight_grad_cosine"] == pytest.approx(cosine, abs=tolerance, nan_ok=True)
        magnitudes = slot["d_affine"].detach().double().abs().flatten()
        if magnitudes.min() > 0:
            quantiles = torch.quantile(
                magnitudes.log10(), torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)
            ).tolist()
            figures = [row[f"grad_log10_p{p}"] for p in (5, 50, 95)]
            assert figures == pytest.approx(quantiles, abs=max(tolerance, 1e-6) if dtype == "float32" else 1e-9)
        if point.fork is not None:
            same("skip_grad_norm", norm("d_fork"))
        if point.activation is not None:
            x = slot["input"].detach().double().requires_grad_()
            (slope,) = torch.autograd.grad(point.activation(x).sum(), x)
            same("activation_slope_rms", float(slope.square().mean().sqrt()))
            steepest = 1 if point.role == "main" else 0.25
            assert row["saturated_fraction"] == pytest.approx(
                float((slope.abs() <= 0.0113 * steepest).double().mean()), abs=0.01
            )
            units = slot["activation"].transpose(0, 1).flatten(1)
            assert row["dead_fraction"] == float((units == 0).all(1).double().mean())


def test_saturation_is_relative_to_the_steepest_slope(tmp_path):
    rows, loop = first_step("activation=sigmoid", "data.scale=20", "train.dtype=float64")
    _, kept = recompute(loop)
    x = kept[0]["input"].detach()
    share = float(((torch.sigmoid(x) * (1 - torch.sigmoid(x))) <= 0.01 * 0.25).double().mean())
    assert share > 0.3
    assert rows[0]["saturated_fraction"] == pytest.approx(share, abs=1e-9)


def test_dead_units_are_counted_by_unit():
    cfg = compose_config("train=init", "probe=full", "model.depth=2", "model.width=10", "model.bias=true")
    loop = assemble(cfg)
    with torch.no_grad():
        loop.model.stem.affine.bias[:3] = -1000.0
    list(loop.run())
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in loop.probe.take().layers]
    assert rows[0]["dead_fraction"] == pytest.approx(0.3)
    assert rows[0]["saturated_fraction"] > 0.3


def test_updates_and_clipped_gradients_are_those_of_the_step():
    cfg = compose_config(
        "train.steps=3", "probe=full", "model.depth=3", "model.width=16", "optimizer=sgd", "optimizer.lr=0.5",
        "clipping=norm", "clipping.max_norm=0.01", "train.dtype=float64",
    )  # fmt: skip
    loop = assemble(cfg)
    before = [p.affine.weight.detach().clone() for p in loop.model.points()]
    for metrics in loop.run():
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in loop.probe.take().layers]
        factor = metrics["clipped_grad_norm"] / metrics["grad_norm"]
        after = [p.affine.weight.detach().clone() for p in loop.model.points()]
        assert metrics["clipped_grad_norm"] == pytest.approx(0.01, rel=1e-4)
        for row, old, new in zip(rows, before, after, strict=True):
            assert row["clipped_weight_grad_norm"] == pytest.approx(factor * row["weight_grad_norm"], rel=1e-9)
            assert row["update_norm"] == pytest.approx(float((new - old).norm()), rel=1e-9)
            assert row["update_norm"] == pytest.approx(0.5 * row["clipped_weight_grad_norm"], rel=1e-9)
            assert row["update_ratio"] == pytest.approx(row["update_norm"] / float(old.norm()), rel=1e-9)
        before = after


@pytest.mark.parametrize("normalization", ["none", "weight_norm"])
def test_update_of_a_parametrized_weight_is_that_of_the_effective_weight(normalization):
    cfg = compose_config("train.steps=1", "probe=full", "model.depth=2", f"normalization={normalization}")
    loop = assemble(cfg)
    old = loop.model.stem.affine.weight.detach().clone()
    list(loop.run())
    row = dict(zip(COLUMNS, loop.probe.take().layers[0], strict=True))
    new = loop.model.stem.affine.weight.detach()
    assert row["update_norm"] == pytest.approx(float((new - old).double().norm()), rel=1e-5)
    assert np.isfinite(row["weight_grad_cosine"])
