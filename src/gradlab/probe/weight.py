"""The weight of one layer: its norm, its gradient, and how far one update moves it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gradlab.points import Point
from gradlab.probe.pool import Pool


class WeightReader:
    """Reads the effective weight W of one layer between backward pass, clipping and update.

    Under a parametrization (weight_norm) W is made anew in each forward pass, so W and dL/dW are caught there.

    Args:
        point: Whose weight to read.
        pool: Where the figures go.
    """

    def __init__(self, point: Point, pool: Pool) -> None:
        self.pool = pool
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

    def read(self, *, full: bool) -> None:
        """Measure W and dL/dW after the backward pass, before clipping, and keep a copy of W."""
        gauge, values = self.pool.gauge, self.pool.values
        if not self._parametrized:
            self._weight = getattr(self._affine, "weight", None)
        if self._weight is None:
            return
        weight, grad = self._weight.detach(), self._grad()
        values["weight_norm"] = weight_norm = gauge.norm(weight)
        self._kept = gauge.keep(weight, self._kept)
        if grad is None:
            return
        values["weight_grad_norm"] = grad_norm = gauge.norm(grad)
        if full:
            values["weight_grad_cosine"] = gauge.cosine(weight, grad, weight_norm, grad_norm)

    def read_clipped(self) -> None:
        """Measure dL/dW after clipping; a parametrized weight has no such gradient of its own."""
        if not self._parametrized and (grad := self._grad()) is not None:
            self.pool.values["clipped_weight_grad_norm"] = self.pool.gauge.norm(grad)

    def read_update(self) -> None:
        """Measure how far W moved since `read`."""
        if self._weight is None:
            return
        gauge, values = self.pool.gauge, self.pool.values
        weight = self._affine.weight.detach() if self._parametrized else self._weight.detach()
        values["update_norm"] = update = gauge.distance(weight, self._kept)
        values["update_ratio"] = gauge.ratio(update, values["weight_norm"])

    def _grad(self) -> Tensor | None:
        return self._made_grad if self._parametrized or self._weight is None else self._weight.grad

    def _on_made(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if not self.pool.recording:
            return
        self._weight = output
        if output.requires_grad and torch.is_grad_enabled():
            output.register_hook(self._on_made_grad)

    def _on_made_grad(self, grad: Tensor) -> None:
        self._made_grad = grad if self._made_grad is None else self._made_grad + grad
