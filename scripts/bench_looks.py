"""Tools that record a training step, for bench_probe.py: gradlab's probe, other libraries, and the cheapest hooks."""

import importlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradlab.artifacts.tables import Table
from gradlab.nn.mlp import MLP
from gradlab.probe.columns import COLUMNS
from gradlab.probe.probe import Probe
from gradlab.probe.recording import Row
from gradlab.run.history import FLUSH


def _nothing() -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Look:
    """Calls of a tool in a training step, besides its hooks.

    Attributes:
        start: Called before the forward pass.
        after_backward: Called between the backward pass and the update.
        end: Called after the update.
    """

    start: Callable[[], None] = _nothing
    after_backward: Callable[[], None] = _nothing
    end: Callable[[], None] = _nothing


def bare(model: MLP) -> Look:
    """Record nothing."""
    return Look()


def probe(model: MLP, *, every: int, full_every: int) -> Look:
    """Record with gradlab's probe, and write the rows to a CSV every 50 recorded steps, as a run does."""
    looking = Probe(model, last=10**9, every=every, full_every=full_every)
    table = Table(Path(tempfile.mkdtemp()) / "gradients.csv", COLUMNS)
    waiting: list[Row] = []
    counter = iter(range(1, 10**9))  # from 1, because step 0 would be recorded in full

    def after_backward() -> None:
        looking.after_backward()
        looking.after_clipping()

    def end() -> None:
        looking.after_update()
        waiting.extend(looking.take().layers)
        if len(waiting) > FLUSH * (len(model.blocks) + 2):
            table.write(waiting)
            waiting.clear()

    return Look(start=lambda: (looking.start(next(counter)), None)[1], after_backward=after_backward, end=end)


def floor(model: MLP) -> Look:
    """Record the D columns of a relu MLP with the cheapest hooks: one pass over each tensor, no range checks."""
    points: list[Any] = list(model.points())
    ones = np.ones(1 << 20, np.float32)
    found: list[Any] = []

    def on_grad(grads: tuple[Tensor, ...]) -> None:
        flat = grads[0].numpy().reshape(-1)
        found.append(sqrt(float(flat.dot(flat))))

    def on_forward(module: nn.Module, args: Any, output: Tensor) -> None:
        flat = output.numpy(force=True).reshape(-1)
        square, mean = float(flat.dot(flat)), float(flat.dot(ones[: flat.size])) / flat.size
        found.append((sqrt(square), mean, sqrt(square / flat.size - mean * mean)))
        output.grad_fn.register_prehook(on_grad)  # pyright: ignore[reportOptionalMemberAccess]

    def on_weight_grad(weight: Tensor) -> None:
        flat = weight.grad.numpy().reshape(-1)  # pyright: ignore[reportOptionalMemberAccess]
        found.append(sqrt(float(flat.dot(flat))))

    weights: list[Any] = [point.affine.weight for point in points]
    for module in dict.fromkeys(module for point in points for module in (point.affine, point.output)):
        module.register_forward_hook(on_forward)
    for weight in weights:
        weight.register_post_accumulate_grad_hook(on_weight_grad)
    matrices = [weight.detach().numpy().reshape(-1) for weight in weights]
    kept = [matrix.copy() for matrix in matrices]

    def end() -> None:
        for new, old in zip(matrices, kept, strict=True):
            np.subtract(new, old, out=old)
            found.append((sqrt(float(old.dot(old))), sqrt(float(new.dot(new)))))
            np.copyto(old, new)
        found.clear()

    return Look(end=end)


def two_norms(model: MLP) -> Look:
    """Record the norms of z and dL/dz only."""
    found: list[float] = []

    def norm(x: Tensor) -> None:
        flat = x.numpy().reshape(-1)
        found.append(sqrt(float(flat.dot(flat))))

    def on_forward(module: nn.Module, args: Any, output: Tensor) -> None:
        norm(output.detach())
        output.register_hook(norm)

    for point in model.points():
        point.affine.register_forward_hook(on_forward)
    return Look(end=found.clear)


def naive(model: MLP) -> Look:
    """Call ``.item()`` on norm, mean, standard deviation and share of zeros of z and h and of their gradients."""
    log: list[list[float]] = []

    def note(x: Tensor) -> None:
        log.append([x.norm().item(), x.mean().item(), x.std().item(), (x == 0).float().mean().item()])

    def on_forward(module: nn.Module, args: Any, output: Tensor) -> None:
        note(output.detach())
        output.register_hook(note)

    for module in model.modules():
        if isinstance(module, nn.Linear | nn.ReLU):
            module.register_forward_hook(on_forward)
    return Look(end=log.clear)


def lightning_grad_norm(model: MLP) -> Look:
    """Call Lightning's ``grad_norm`` and read its values, as its logger does."""
    grad_norm = importlib.import_module("lightning.pytorch.utilities").grad_norm
    return Look(after_backward=lambda: ({k: float(v) for k, v in grad_norm(model, 2).items()}, None)[1])


def optimizer_monitor(model: MLP) -> Look:
    """Record the norms of all gradients in a copy of the loop of OptimizerMonitor, as composer pins torch."""

    def batch_end() -> None:
        norms: dict[str, Any] = {}
        for name, parameter in model.named_parameters():
            if parameter.grad is not None and parameter.requires_grad:
                norms[f"l2_norm/grad/{name}"] = torch.linalg.vector_norm(parameter.grad)
        norms["l2_norm/grad/global"] = sum(value**2 for value in norms.values()) ** 0.5
        for name in norms:
            norms[name] = norms[name].item()

    return Look(end=batch_end)


def wandb_watch(model: MLP, *, log: str) -> Look:
    """Record wandb's histograms at every step, offline."""
    wandb = importlib.import_module("wandb")
    settings = wandb.Settings(console="off", silent=True)
    run = wandb.init(mode="offline", dir=tempfile.mkdtemp(), settings=settings, reinit="finish_previous")
    run.watch(model, log=log, log_freq=1)
    return Look(end=lambda: run.log({"loss": 0.0}))


def tensorboard_histograms(model: MLP) -> Look:
    """Write a histogram of each layer's weight and of its gradient."""
    writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter(tempfile.mkdtemp())
    counter = iter(range(10**9))

    def end() -> None:
        step = next(counter)
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                writer.add_histogram(name, parameter, step)
                writer.add_histogram(f"{name}.grad", parameter.grad, step)

    return Look(end=end)


OURS: dict[str, Callable[[MLP], Look]] = {
    "bare again (A/A)": bare,
    "gradlab, D columns": partial(probe, every=1, full_every=10**9),
    "gradlab, all columns": partial(probe, every=1, full_every=1),
    "floor: the same D figures": floor,
    "floor: two norms a layer": two_norms,
}
THEIRS: dict[str, Callable[[MLP], Look]] = {
    "Lightning grad_norm": lightning_grad_norm,
    "composer OptimizerMonitor's loop": optimizer_monitor,
    "naive .item() hooks": naive,
    "wandb.watch, gradients": partial(wandb_watch, log="gradients"),
    "wandb.watch, all": partial(wandb_watch, log="all"),
    "TensorBoard histograms": tensorboard_histograms,
}
