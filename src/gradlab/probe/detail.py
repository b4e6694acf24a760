"""The causes behind one layer's gradient: slopes, dead units, the skip's share, the spread of dL/dz."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gradlab.points import Point
from gradlab.probe.pool import Figure, Pool

_QUANTILES = ("grad_log10_p5", "grad_log10_p50", "grad_log10_p95")


class DetailHooks:
    """Measures what the full record adds to one layer's signal.

    Args:
        point: Where to measure.
        pool: Where the figures go.
    """

    def __init__(self, point: Point, pool: Pool) -> None:
        self.point = point
        self.pool = pool
        self._steepest: Tensor | None = None
        self._alive: Any = None
        self._grads: list[Tensor] = []

    def attach(self) -> list[RemovableHandle]:
        """Register the forward hooks and return their handles."""
        activation, fork = self.point.activation, self.point.fork
        handles = [self.point.affine.register_forward_hook(self._on_affine)]
        if activation is not None:
            handles.append(activation.register_forward_pre_hook(self._on_activation_input))
            handles.append(activation.register_forward_hook(self._on_activation_output))
        if fork is not None:
            handles.append(fork.register_forward_hook(self._on_fork))
        return handles

    def clear(self) -> None:
        """Forget the last step."""
        self._alive = None
        self._grads.clear()

    def finish(self) -> None:
        """Add the figures that need all calls of the layer together."""
        gauge, values = self.pool.gauge, self.pool.values
        if self._alive is not None:
            values["dead_fraction"] = gauge.share_dead(self._alive)
        if self._grads:
            grads = self._grads[0] if len(self._grads) == 1 else torch.cat([g.flatten() for g in self._grads])
            values.update(zip(_QUANTILES, gauge.log_quantiles(grads), strict=True))

    def _on_affine(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if self.pool.recording and output.requires_grad:
            output.register_hook(self._on_affine_grad)

    def _on_affine_grad(self, grad: Tensor) -> None:
        self._grads.append(grad.detach())

    def _on_activation_input(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        if not self.pool.recording:
            return
        x = args[0].detach()
        with _untouched_rng(x.device):
            slope = _slope(module, x)
            if self._steepest is None or next(module.parameters(), None) is not None:
                self._steepest = _slope(module, _grid(x)).abs().max()
        rms, saturated = self.pool.gauge.slope_figures(slope, self._steepest)
        self.pool.add_rms("activation_slope_rms", rms, x.numel())
        self.pool.add_share("saturated_fraction", saturated, x.numel())

    def _on_activation_output(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if not self.pool.recording:
            return
        alive = self.pool.gauge.alive(output.detach())
        self._alive = alive if self._alive is None else self._alive | alive

    def _on_fork(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if self.pool.recording and output.requires_grad:
            output.register_hook(self._on_fork_grad)

    def _on_fork_grad(self, grad: Tensor) -> None:
        norm: Figure = self.pool.gauge.norm(grad.detach())
        self.pool.add_norm("skip_grad_norm", norm)


def _slope(activation: nn.Module, x: Tensor) -> Tensor:
    """Return the derivative of an elementwise activation at ``x``, the shape of ``x``."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        y = activation.forward(leaf.clone())  # a clone, since it may work in place; forward, since hooks hang on call
        (slope,) = torch.autograd.grad(y.sum(), leaf)
    return slope


def _grid(x: Tensor, *, points: int = 4001, reach: float = 20.0) -> Tensor:
    """Return inputs that cover an activation's range, shaped [points, features, 1 …] like a batch of ``x``."""
    line = torch.linspace(-reach, reach, points, device=x.device, dtype=x.dtype)
    return line.view(-1, *(1 for _ in x.shape[1:])).expand(-1, *x.shape[1:2], *(1 for _ in x.shape[2:]))


@contextmanager
def _untouched_rng(device: torch.device) -> Iterator[None]:
    """Give back the random state afterwards: a random activation (rrelu) may draw, and training must not notice."""
    cuda = device.type == "cuda"
    state = torch.cuda.get_rng_state(device) if cuda else torch.get_rng_state()
    try:
        yield
    finally:
        torch.cuda.set_rng_state(state, device) if cuda else torch.set_rng_state(state)
