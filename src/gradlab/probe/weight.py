"""The weight of one layer: its norm, its gradient, and how far one update moves it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gradlab.points import Point
from gradlab.probe.columns import SLOT
from gradlab.probe.pool import Gauge, Row

_NORM, _GRAD, _CLIPPED = (SLOT[name] for name in ("weight_norm", "weight_grad_norm", "clipped_weight_grad_norm"))
_COSINE, _UPDATE, _RATIO = (SLOT[name] for name in ("weight_grad_cosine", "update_norm", "update_ratio"))


class WeightReader:
    """Reads the effective weight W of one layer between backward pass, clipping and update.

    Under a parametrization (weight_norm) W is made anew in each forward pass, so W and dL/dW are caught there. A weight
    that two layers share has one gradient, the whole, in both rows.

    Args:
        point: Whose weight to read.
        row: Where the figures go.
        gauge: The module `gradlab.probe.host` or `gradlab.probe.device`, or `Arms`.
    """

    def __init__(self, point: Point, row: Row, gauge: Gauge) -> None:
        self.recording = False
        self._row = row
        self._gauge = gauge
        self._affine: Any = point.affine
        self._name = point.weight
        self._parametrized = nn.utils.parametrize.is_parametrized(point.affine, point.weight)
        self._weight: Tensor | None = None
        self._made_grad: Tensor | None = None
        self._kept: Any = None
        self._full = False

    def attach(self) -> list[RemovableHandle]:
        """Register the forward hook on the parametrization, if any, and return its handle."""
        return [self._maker.register_forward_hook(self._on_made)] if self._parametrized else []

    def clear(self) -> None:
        """Forget the last step."""
        self._weight = self._made_grad = None

    @property
    def used(self) -> Tensor | None:
        """W as the forward pass used it, once that has been."""
        return self._weight if self._parametrized else getattr(self._affine, self._name, None)

    def read(self, *, full: bool) -> None:
        """Measure W and dL/dW after the backward pass, before clipping, and keep a copy of W."""
        self._full = full
        self._weight = self.used
        if self._weight is not None:
            self._read_weight(self._weight.detach())
            self._read_grad()

    def read_ahead(self, *, full: bool) -> None:
        """Measure W before the forward pass, and dL/dW whenever a backward pass has added to it.

        For a loop in which nobody says when the backward pass is over and the update has not begun.
        """
        self._full = full
        self._weight = self._effective()
        if self._weight is not None:
            self._read_weight(self._weight)

    def watch_grad(self) -> list[RemovableHandle]:
        """Register the hook that `read_ahead` needs and return its handle."""
        weight = None if self._parametrized else self.used
        if weight is None or not (weight.is_leaf and weight.requires_grad):
            return []
        return [weight.register_post_accumulate_grad_hook(self._on_accumulated)]

    def unscale(self, scale: Tensor | float) -> None:
        """Divide the gradient of a parametrized weight by what the loss was multiplied by."""
        if self._made_grad is not None:
            self._made_grad = self._made_grad / scale

    def read_clipped(self) -> None:
        """Measure dL/dW after clipping; a parametrized weight has no such gradient of its own."""
        if not self._parametrized and (grad := self._grad()) is not None:
            self._row[_CLIPPED] = self._gauge.norm(grad)

    def read_update(self) -> None:
        """Measure how far W moved since it was read."""
        weight = self._effective()
        if self._weight is None or weight is None:
            return
        gauge, row = self._gauge, self._row
        if self._parametrized and row[_GRAD] is None:  # no hook of `watch_grad` could
            self._read_grad()
        row[_UPDATE] = update = gauge.distance(weight, self._kept)
        row[_RATIO] = gauge.ratio(update, row[_NORM])

    @property
    def _maker(self) -> Any:
        return self._affine.parametrizations[self._name]

    def _read_weight(self, weight: Tensor) -> None:
        self._row[_NORM] = self._gauge.norm(weight)
        self._kept = self._gauge.keep(weight, self._kept)

    def _read_grad(self) -> None:
        grad = self._grad()
        if grad is None or self._weight is None:
            return
        row = self._row
        row[_GRAD] = grad_norm = self._gauge.norm(grad)
        if self._full:
            row[_COSINE] = self._gauge.cosine(self._weight.detach(), grad, row[_NORM], grad_norm)

    def _effective(self) -> Tensor | None:
        """Return W as it is now; None for one that is not a parameter, and made by a hook when the layer is called."""
        if not self._parametrized:
            weight = getattr(self._affine, self._name, None)
            return weight.detach() if weight is not None and weight.is_leaf else None
        trained = [module for module in self._maker.modules() if module.training]
        recording, self.recording = self.recording, False
        try:
            for module in trained:
                module.training = False  # else spectral_norm would go on with its iteration
            with torch.no_grad():
                return getattr(self._affine, self._name).detach()
        finally:
            self.recording = recording
            for module in trained:
                module.training = True

    def _grad(self) -> Tensor | None:
        if self._parametrized:
            return self._made_grad
        weight = self.used
        grad = weight.grad if weight is not None and weight.is_leaf else None
        return grad.to_dense() if grad is not None and grad.layout is not torch.strided else grad

    def _on_accumulated(self, weight: Tensor) -> None:
        if self.recording:
            self._read_grad()

    def _on_made(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if not self.recording:
            return
        self._weight = output
        if output.requires_grad and torch.is_grad_enabled():
            output.register_hook(self._on_made_grad)

    def _on_made_grad(self, grad: Tensor) -> None:
        if self.recording:
            self._made_grad = grad if self._made_grad is None else self._made_grad + grad
