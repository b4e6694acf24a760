"""The weight of one layer: its norm, its gradient, and how far one update moves it."""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gradlab.points import Point
from gradlab.probe.columns import SLOT
from gradlab.probe.pool import Row

_NORM, _GRAD, _CLIPPED = (SLOT[name] for name in ("weight_norm", "weight_grad_norm", "clipped_weight_grad_norm"))
_COSINE, _UPDATE, _RATIO = (SLOT[name] for name in ("weight_grad_cosine", "update_norm", "update_ratio"))


class WeightReader:
    """Reads the effective weight W of one layer between backward pass, clipping and update.

    Under a parametrization (weight_norm) W is made anew in each forward pass, so W and dL/dW are caught there.

    Args:
        point: Whose weight to read.
        row: Where the figures go.
        gauge: The module `gradlab.probe.host` or `gradlab.probe.device`.
    """

    def __init__(self, point: Point, row: Row, gauge: ModuleType) -> None:
        self.recording = False
        self._row = row
        self._gauge = gauge
        self._affine: Any = point.affine
        self._parametrized = nn.utils.parametrize.is_parametrized(point.affine, "weight")
        self._weight: Tensor | None = None
        self._made_grad: Tensor | None = None
        self._kept: Any = None

    def attach(self) -> list[RemovableHandle]:
        """Register the forward hook on the parametrization, if any, and return its handle."""
        return [self._affine.parametrizations.weight.register_forward_hook(self._on_made)] if self._parametrized else []

    def clear(self) -> None:
        """Forget the last step."""
        self._weight = self._made_grad = None

    @property
    def used(self) -> Tensor | None:
        """W as the forward pass used it, once that has been."""
        return self._weight if self._parametrized else getattr(self._affine, "weight", None)

    def read(self, *, full: bool) -> None:
        """Measure W and dL/dW after the backward pass, before clipping, and keep a copy of W."""
        gauge, row = self._gauge, self._row
        self._weight = self.used
        if self._weight is None:
            return
        weight, grad = self._weight.detach(), self._grad()
        row[_NORM] = weight_norm = gauge.norm(weight)
        self._kept = gauge.keep(weight, self._kept)
        if grad is None:
            return
        row[_GRAD] = grad_norm = gauge.norm(grad)
        if full:
            row[_COSINE] = gauge.cosine(weight, grad, weight_norm, grad_norm)

    def unscale(self, scale: Tensor | float) -> None:
        """Divide the gradient of a parametrized weight by what the loss was multiplied by."""
        if self._made_grad is not None:
            self._made_grad = self._made_grad / scale

    def read_clipped(self) -> None:
        """Measure dL/dW after clipping; a parametrized weight has no such gradient of its own."""
        if not self._parametrized and (grad := self._grad()) is not None:
            self._row[_CLIPPED] = self._gauge.norm(grad)

    def read_update(self) -> None:
        """Measure how far W moved since `read`."""
        if self._weight is None:
            return
        gauge, row = self._gauge, self._row
        weight = self._affine.weight.detach() if self._parametrized else self._weight.detach()
        row[_UPDATE] = update = gauge.distance(weight, self._kept)
        row[_RATIO] = gauge.ratio(update, row[_NORM])

    def _grad(self) -> Tensor | None:
        return self._made_grad if self._parametrized or self._weight is None else self._weight.grad

    def _on_made(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if not self.recording:
            return
        self._weight = output
        if output.requires_grad and torch.is_grad_enabled():
            output.register_hook(self._on_made_grad)

    def _on_made_grad(self, grad: Tensor) -> None:
        if self.recording:
            self._made_grad = grad if self._made_grad is None else self._made_grad + grad
