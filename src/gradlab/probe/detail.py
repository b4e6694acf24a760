"""Figures of the full record: slopes, dead units, the skip's gradient, quantiles of dL/dz."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gradlab.interfaces import Point
from gradlab.probe.catcher import Catcher, Switch
from gradlab.probe.columns import SLOT
from gradlab.probe.gauge import Gauge, Slots
from gradlab.probe.pool import pooled_norm, pooled_rms, pooled_share
from gradlab.probe.rng import untouched_rng

_SLOPE, _SATURATED = SLOT["activation_slope_rms"], SLOT["saturated_fraction"]
_DEAD, _SKIP = SLOT["dead_fraction"], SLOT["skip_grad_norm"]
_QUANTILES = tuple(SLOT[f"grad_log10_p{percent}"] for percent in (5, 50, 95))


class DetailHooks:
    """Measures the figures that the full record adds for one layer.

    Args:
        point: The layer.
        row: Receives the figures.
        gauge: Computes the figures.
        switch: The hooks record while it is on.
    """

    def __init__(self, point: Point, row: Slots, gauge: Gauge[Any], switch: Switch) -> None:
        self._point = point
        self._row = row
        self._gauge = gauge
        self._entries = 0
        self._steepest: Any = None
        self._alive: Any = None
        self._grads: list[Tensor] = []
        self._switch = switch
        self._affine_grad = Catcher(self._grads.append, switch)
        self._fork_grad = Catcher(self._use_fork_grad, switch)

    def attach(self) -> list[RemovableHandle]:
        """Register the forward hooks and return their handles."""
        point, activation, fork = self._point, self._point.activation, self._point.fork
        handles = [(point.caller or point.affine).register_forward_hook(self._on_affine)] if point.observed else []
        if activation is not None:
            handles.append(activation.register_forward_pre_hook(self._on_activation_input))
            handles.append(activation.register_forward_hook(self._on_activation_output))
        if fork is not None:
            handles.append(fork.register_forward_hook(self._on_fork))
        return handles

    def put(self, grad: Tensor, activation: nn.Module | None, inputs: Tensor | None, outputs: Tensor) -> None:
        """Measure a recurrent layer in its unrolled pass, since hooks cannot observe single time steps.

        Args:
            grad: dL/dz, [n, T, …].
            activation: The activation between z and h; None unless there is exactly one.
            inputs: Its inputs, [T, n, width].
            outputs: Its outputs, [T, n, width].
        """
        self._grads.append(grad)
        if activation is not None and inputs is not None:
            self._on_activation_input(activation, (inputs.flatten(0, 1),))
            self._on_activation_output(activation, None, outputs.flatten(0, 1))

    def clear(self) -> None:
        """Reset for a new step."""
        self._alive = None
        self._entries = 0
        self._grads.clear()
        self._affine_grad.clear()
        self._fork_grad.clear()

    def unscale(self, scale: Tensor | float) -> None:
        """Divide the gradients by the loss scale, in float32 at least, so that the quotient does not underflow."""
        self._affine_grad.finish()
        self._fork_grad.finish()
        self._grads[:] = [_at_least_float32(grad) / scale for grad in self._grads]
        if self._row[_SKIP] is not None:
            self._row[_SKIP] = self._row[_SKIP] / scale

    def finish(self) -> None:
        """Compute the figures that need all calls of the layer."""
        self._affine_grad.finish()
        self._fork_grad.finish()
        if self._alive is not None:
            self._row[_DEAD] = self._gauge.share_dead(self._alive)
        if self._grads:
            grads = self._grads[0] if len(self._grads) == 1 else torch.cat([g.flatten() for g in self._grads])
            for slot, quantile in zip(_QUANTILES, self._gauge.log_quantiles(grads), strict=True):
                self._row[slot] = quantile

    def neighbours(self, lag: int) -> Any | None:
        """Return the cosine between dL/dz of the samples and dL/dz of those ``lag`` places later in the batch.

        One cosine over all pairs; None without such pairs. Call it after `finish`, before `clear`.
        """
        grads = [grad for grad in self._grads if len(grad) > lag]
        if not grads:
            return None
        earlier = torch.cat([grad[:-lag].flatten() for grad in grads])
        later = torch.cat([grad[lag:].flatten() for grad in grads])
        return self._gauge.cosine(earlier, later, self._gauge.norm(earlier), self._gauge.norm(later))

    def _on_affine(self, module: nn.Module, args: Any, output: Any) -> None:
        if self._switch.on and torch.is_grad_enabled():
            self._affine_grad.catch(output if isinstance(output, Tensor) else output[0])

    def _on_activation_input(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        if not self._switch.on or not torch.is_grad_enabled():
            return
        x = _at_least_float32(args[0].detach())
        with untouched_rng(x.device), torch.autocast(x.device.type, enabled=False):
            slope = _slope(module, x)
            if self._steepest is None or next(module.parameters(), None) is not None:
                self._steepest = self._gauge.largest(_slope(module, self._gauge.repeat(_grid(x))))
        rms, saturated = self._gauge.slope_figures(slope, self._steepest)
        row, seen, entries = self._row, self._entries, x.numel()
        row[_SLOPE] = pooled_rms(self._gauge, row[_SLOPE], seen, rms, entries)
        row[_SATURATED] = pooled_share(row[_SATURATED], seen, saturated, entries)
        self._entries += entries

    def _on_activation_output(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if not self._switch.on or not torch.is_grad_enabled():
            return
        alive = self._gauge.alive(output.detach())
        self._alive = alive if self._alive is None else self._alive | alive

    def _on_fork(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if self._switch.on and torch.is_grad_enabled():
            self._fork_grad.catch(output)

    def _use_fork_grad(self, grad: Tensor) -> None:
        self._row[_SKIP] = pooled_norm(self._gauge, self._row[_SKIP], self._gauge.norm(grad))


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.element_size() >= 4 else x.float()


def _slope(activation: nn.Module, x: Tensor) -> Tensor:
    """Return the derivative of an elementwise activation at ``x``, the shape of ``x``."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        y = activation.forward(leaf.clone())  # cloned for in-place activations; forward() runs no hooks
        (slope,) = torch.autograd.grad(y.sum(), leaf)
    return slope


def _grid(x: Tensor, *, points: int = 4001, reach: float = 20.0) -> Tensor:
    """Return inputs that cover an activation's range, shaped [points, features, 1 …] like a batch of ``x``."""
    line = torch.linspace(-reach, reach, points, device=x.device, dtype=x.dtype)
    return line.view(-1, *(1 for _ in x.shape[1:])).expand(-1, *x.shape[1:2], *(1 for _ in x.shape[2:]))
