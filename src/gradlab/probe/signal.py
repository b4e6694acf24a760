"""z, h, dL/dz and dL/dh of one layer: the columns of every recorded step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gradlab.interfaces import Point
from gradlab.probe.catcher import Catcher, Switch
from gradlab.probe.columns import SLOT
from gradlab.probe.gauge import Gauge, Slots
from gradlab.probe.pool import pooled_moments, pooled_norm

_PREACTIVATION = tuple(SLOT[f"preactivation_{name}"] for name in ("norm", "mean", "std", "entries"))
_ACTIVATION = tuple(SLOT[f"activation_{name}"] for name in ("norm", "mean", "std", "entries"))
_PREACTIVATION_GRAD, _ACTIVATION_GRAD = SLOT["preactivation_grad_norm"], SLOT["activation_grad_norm"]


class SignalHooks:
    """Measures z, h, dL/dz and dL/dh of one layer.

    Forward figures are computed at once, before an in-place activation overwrites the tensor. The hooks are closures,
    which need no attribute lookups: their own Python is half of the cost of recording. A call without gradients (an
    evaluation within the step) is not recorded.

    Args:
        point: The layer.
        row: Receives the figures.
        gauge: Computes the figures.
        switch: The hooks record while it is on.
    """

    def __init__(self, point: Point, row: Slots, gauge: Gauge[Any], switch: Switch) -> None:
        self.called = False
        self._point = point
        self._row, self._gauge = row, gauge
        self._switch = switch
        self._caught: list[Catcher] = []
        self._on_affine = self._affine_hook(row, gauge) if point.observed else self._on_call
        self._on_output = self._output_hook(row, gauge)

    def attach(self) -> list[RemovableHandle]:
        """Register the forward hooks and return their handles."""
        point = self._point
        handles = [(point.caller or point.affine).register_forward_hook(self._on_affine)]
        if point.output is not point.affine:
            handles.append(point.output.register_forward_hook(self._on_output))
        return handles

    def clear(self) -> None:
        """Reset for a new step."""
        self.called = False
        for caught in self._caught:
            caught.clear()

    def unscale(self, scale: Tensor | float) -> None:
        """Divide the gradients by the loss scale."""
        self.finish()
        for slot in (_PREACTIVATION_GRAD, _ACTIVATION_GRAD):
            if self._row[slot] is not None:
                self._row[slot] = self._row[slot] / scale

    def finish(self) -> None:
        """Add the gradients that were held back for further backward passes."""
        for caught in self._caught:
            caught.finish()

    def put(self, z: Tensor, z_grads: Tensor, h: Tensor, h_grads: Tensor) -> None:
        """Record a recurrent layer from its unrolled pass, since hooks cannot observe single time steps.

        Args:
            z: Pre-activations of any shape.
            z_grads: dL/dz.
            h: States of any shape; not used where h is the output of a residual block, which has a hook.
            h_grads: dL/dh, likewise.
        """
        self.called = True
        signals = [(z, _PREACTIVATION, z_grads, _PREACTIVATION_GRAD)]
        if self._point.output is self._point.affine:
            signals.append((h, _ACTIVATION, h_grads, _ACTIVATION_GRAD))
        row, gauge = self._row, self._gauge
        for signal, slots, grads, slot in signals:
            _put(row, slots, gauge.moments(signal), signal.numel(), gauge)
            row[slot] = pooled_norm(gauge, row[slot], gauge.norm(grads))

    def _affine_hook(self, row: Slots, gauge: Gauge[Any]) -> Callable[..., None]:
        moments, norm, switch = gauge.moments, gauge.norm, self._switch
        h_is_z = self._point.output is self._point.affine  # as for the head

        def use(grad: Tensor) -> None:
            seen = row[_PREACTIVATION_GRAD]
            row[_PREACTIVATION_GRAD] = figure = norm(grad) if seen is None else gauge.hypot(seen, norm(grad))
            if h_is_z:
                row[_ACTIVATION_GRAD] = figure

        catch = self._catcher(use)

        def on_affine(module: nn.Module, args: Any, output: Any) -> None:
            if not switch.on or not torch.is_grad_enabled():
                return
            self.called = True
            if not isinstance(output, Tensor):
                output = output[0]
            figures = moments(output)
            _put(row, _PREACTIVATION, figures, output.numel(), gauge)
            if h_is_z:
                _put(row, _ACTIVATION, figures, output.numel(), gauge)
            catch(output)

        return on_affine

    def _output_hook(self, row: Slots, gauge: Gauge[Any]) -> Callable[..., None]:
        moments, norm, switch = gauge.moments, gauge.norm, self._switch

        def use(grad: Tensor) -> None:
            seen = row[_ACTIVATION_GRAD]
            row[_ACTIVATION_GRAD] = norm(grad) if seen is None else gauge.hypot(seen, norm(grad))

        catch = self._catcher(use)

        def on_output(module: nn.Module, args: Any, output: Tensor) -> None:
            if not switch.on or not torch.is_grad_enabled():
                return
            _put(row, _ACTIVATION, moments(output), output.numel(), gauge)
            catch(output)

        return on_output

    def _catcher(self, use: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
        self._caught.append(Catcher(use, self._switch))
        return self._caught[-1].catch

    def _on_call(self, module: nn.Module, args: Any, output: Any) -> None:
        self.called = self.called or (self._switch.on and torch.is_grad_enabled())


def _put(row: Slots, slots: tuple[int, ...], moments: tuple[Any, Any, Any], entries: int, gauge: Gauge[Any]) -> None:
    norm, mean, std, seen = slots
    if before := row[seen]:
        moments = pooled_moments(gauge, (row[norm], row[mean], row[std]), before, moments, entries)
    row[norm], row[mean], row[std] = moments
    row[seen] = before + entries
