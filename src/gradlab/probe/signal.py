"""The signal of one layer on the way forward and its gradient on the way back: columns recorded at every step."""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gradlab.points import Point
from gradlab.probe.columns import SLOT
from gradlab.probe.pool import Moments, Row, pooled_moments, pooled_norm

_PREACTIVATION = tuple(SLOT[f"preactivation_{name}"] for name in ("norm", "mean", "std", "entries"))
_ACTIVATION = tuple(SLOT[f"activation_{name}"] for name in ("norm", "mean", "std", "entries"))
_PREACTIVATION_GRAD, _ACTIVATION_GRAD = SLOT["preactivation_grad_norm"], SLOT["activation_grad_norm"]


class SignalHooks:
    """Measures z, h, dL/dz and dL/dh of one layer.

    The gradients are caught by hooks on output TENSORS that the forward hooks put there: unlike full backward hooks
    they stand an in-place activation behind them, and a tensor that needs no gradient simply gets none. The forward
    figures are taken at once, before such an activation writes over the tensor. The hooks are closures over what they
    need, because at a few microseconds each their own Python is half of what looking costs.

    Args:
        point: Where to measure.
        row: Where the figures go.
        gauge: The module `gradlab.probe.host` or `gradlab.probe.device`.
        turns: Counts the layers of one step in the order in which they are first called.
    """

    def __init__(self, point: Point, row: Row, gauge: ModuleType, turns: Iterator[int]) -> None:
        self.recording = False  # hooks may outlive the step: an evaluation must not be measured
        self.turn = 0
        self._point = point
        self._row, self._gauge = row, gauge
        self._on_affine = self._affine_hook(row, gauge, turns)
        self._on_output = self._output_hook(row, gauge)

    def attach(self) -> list[RemovableHandle]:
        """Register the forward hooks and return their handles."""
        handles = [self._point.affine.register_forward_hook(self._on_affine)]
        if self._point.output is not self._point.affine:
            handles.append(self._point.output.register_forward_hook(self._on_output))
        return handles

    def put(self, z: Tensor, z_grads: Tensor, h: Tensor, h_grads: Tensor) -> None:
        """Take in what hooks cannot see, because it was computed time step by time step.

        Args:
            z: Pre-activations of any shape.
            z_grads: dL/dz.
            h: States of any shape; where a residual block's output is the layer's h, its hook sees that.
            h_grads: dL/dh.
        """
        signals = [(z, _PREACTIVATION, z_grads, _PREACTIVATION_GRAD)]
        if self._point.output is self._point.affine:
            signals.append((h, _ACTIVATION, h_grads, _ACTIVATION_GRAD))
        row, gauge = self._row, self._gauge
        for signal, slots, grads, slot in signals:
            _put(row, slots, gauge.moments(signal), signal.numel(), gauge)
            row[slot] = pooled_norm(gauge, row[slot], gauge.norm(grads))

    def _affine_hook(self, row: Row, gauge: ModuleType, turns: Iterator[int]) -> Callable[..., None]:
        moments, norm = gauge.moments, gauge.norm
        whole = self._point.output is self._point.affine  # the head: h is z

        def on_grad(grad: Tensor) -> None:
            if not self.recording:
                return
            value = norm(grad.detach() if grad.requires_grad else grad)
            row[_PREACTIVATION_GRAD] = pooled_norm(gauge, row[_PREACTIVATION_GRAD], value)
            if whole:
                row[_ACTIVATION_GRAD] = row[_PREACTIVATION_GRAD]

        def on_affine(module: nn.Module, args: Any, output: Tensor) -> None:
            if not self.recording:
                return
            if not row[_PREACTIVATION[-1]]:
                self.turn = next(turns)
            z = output.detach()
            figures = moments(z)
            _put(row, _PREACTIVATION, figures, z.numel(), gauge)
            if whole:
                _put(row, _ACTIVATION, figures, z.numel(), gauge)
            if output.requires_grad:
                output.register_hook(on_grad)

        return on_affine

    def _output_hook(self, row: Row, gauge: ModuleType) -> Callable[..., None]:
        moments, norm = gauge.moments, gauge.norm

        def on_grad(grad: Tensor) -> None:
            if not self.recording:
                return
            value = norm(grad.detach() if grad.requires_grad else grad)
            row[_ACTIVATION_GRAD] = pooled_norm(gauge, row[_ACTIVATION_GRAD], value)

        def on_output(module: nn.Module, args: Any, output: Tensor) -> None:
            if not self.recording:
                return
            h = output.detach()
            _put(row, _ACTIVATION, moments(h), h.numel(), gauge)
            if output.requires_grad:
                output.register_hook(on_grad)

        return on_output


def _put(row: Row, slots: tuple[int, ...], moments: Moments, entries: int, gauge: ModuleType) -> None:
    norm, mean, std, seen = slots
    if row[seen]:
        moments = pooled_moments(gauge, (row[norm], row[mean], row[std]), row[seen], moments, entries)
    row[norm], row[mean], row[std] = moments
    row[seen] += entries
