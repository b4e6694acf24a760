"""The weight of one layer: its norm, its gradient, and how far one update moves it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gradlab.compat.torch_private import count_writes, own_parameters
from gradlab.interfaces import Point
from gradlab.probe.catcher import Switch
from gradlab.probe.columns import SLOT
from gradlab.probe.gauge import Gauge, Slots

_NORM, _GRAD, _CLIPPED = (SLOT[name] for name in ("weight_norm", "weight_grad_norm", "clipped_weight_grad_norm"))
_COSINE, _UPDATE, _RATIO = (SLOT[name] for name in ("weight_grad_cosine", "update_norm", "update_ratio"))


class CachedFigure:
    """A cached figure of a tensor, valid until the tensor is modified.

    Torch counts the writes to a tensor. A different storage shows as a different data pointer, which cannot be reused
    while this one is held. Writes through ``.data`` into the same storage are not counted.

    Args:
        tensor: What was measured, detached.
        figure: The result.
    """

    __slots__ = ("_held", "_writes", "figure")

    def __init__(self, tensor: Tensor, figure: Any) -> None:
        self._held = tensor
        self._writes = count_writes(tensor)
        self.figure = figure

    def holds(self, tensor: Tensor) -> bool:
        """Return whether a tensor is the one that was measured, and unchanged."""
        return count_writes(tensor) == self._writes and tensor.data_ptr() == self._held.data_ptr()


class WeightReader:
    """Reads the effective weight W of one layer between backward pass, clipping and update.

    Under a parametrization (weight_norm) each forward pass makes a new W, so W and dL/dW are caught there. A weight
    that two layers share has one gradient, the whole, in both rows.

    Looking at a matrix costs as much as fetching it, so each is read while it is in the cache: dL/dW as soon as it is
    accumulated, and W, where the next step wants it too, together with the update before.

    Args:
        point: Whose weight to read.
        row: Where the figures go.
        gauge: What computes the figures.
        switch: Whether what the hooks see belongs to the step.
    """

    def __init__(self, point: Point, row: Slots, gauge: Gauge[Any], switch: Switch) -> None:
        self._row = row
        self._gauge = gauge
        self._switch = switch
        self._affine: Any = point.affine
        self._name = point.weight
        self._own = own_parameters(point.affine)
        self._parametrized = nn.utils.parametrize.is_parametrized(point.affine, point.weight)
        self._weight: Tensor | None = None
        self._made_grad: Tensor | None = None
        self._kept: Any = None
        self._known: CachedFigure | None = None  # of W after the last update; `_kept` is of the same
        self._known_grad: CachedFigure | None = None
        self._ahead = self._full = False

    def attach(self) -> list[RemovableHandle]:
        """Register the hooks and return their handles: on the parametrization, or where the gradient arrives."""
        if self._parametrized:
            return [self._maker.register_forward_hook(self._on_made)]
        weight = self.used
        if weight is None or not (weight.is_leaf and weight.requires_grad):
            return []
        return [weight.register_post_accumulate_grad_hook(self._on_accumulated)]

    def clear(self) -> None:
        """Forget the last step."""
        self._weight = self._made_grad = self._known_grad = None
        self._ahead = False

    @property
    def used(self) -> Tensor | None:
        """W as the forward pass used it, once that has been."""
        if self._parametrized:
            return self._weight
        weight = self._own.get(self._name)
        return getattr(self._affine, self._name, None) if weight is None else weight

    def read(self, *, full: bool) -> None:
        """Measure W and dL/dW after the backward pass, before clipping, and keep a copy of W."""
        self._full = full
        self._weight = self.used
        if self._weight is not None:
            self._read_weight(self._weight)
            self._read_grad()
            self._known_grad = None

    def read_ahead(self, *, full: bool) -> None:
        """Measure W before the forward pass, and dL/dW whenever a backward pass has added to it.

        For a loop that does not report the moment between its backward pass and its update.
        """
        self._ahead, self._full = True, full
        self._weight = self._effective()
        if self._weight is not None:
            self._read_weight(self._weight)

    def unscale(self, scale: Tensor | float) -> None:
        """Divide the gradient of a parametrized weight by what the loss was multiplied by."""
        self._known_grad = None
        if self._made_grad is not None:
            self._made_grad = self._made_grad / scale

    def read_clipped(self) -> None:
        """Measure dL/dW after clipping; a parametrized weight has no such gradient of its own."""
        if not self._parametrized and (grad := self._grad()) is not None:
            self._row[_CLIPPED] = self._gauge.norm(grad)

    def read_update(self, *, onward: bool) -> None:
        """Measure how far W moved since it was read.

        Args:
            onward: Read W for the next step as well, which believes it unless somebody writes to W in between.
        """
        if self._weight is None or (weight := self._effective()) is None:
            return
        gauge, row = self._gauge, self._row
        if self._parametrized and row[_GRAD] is None:  # there is no hook where this gradient arrives
            self._read_grad()
        if onward and not self._parametrized:
            update, norm = gauge.moved(weight, self._kept)
            self._known = CachedFigure(weight, norm)
        else:
            update = gauge.distance(weight, self._kept)
        row[_UPDATE] = update
        row[_RATIO] = gauge.ratio(update, row[_NORM])

    @property
    def _maker(self) -> Any:
        return self._affine.parametrizations[self._name]

    def _read_weight(self, weight: Tensor) -> None:
        known, self._known = self._known, None
        if known is not None and known.holds(weight):
            self._row[_NORM] = known.figure
        else:
            weight = weight.detach()
            self._row[_NORM] = self._gauge.norm(weight)
            self._kept = self._gauge.keep(weight, self._kept)

    def _read_grad(self) -> None:
        grad = self._grad()
        if grad is None or self._weight is None:
            return
        known, row = self._known_grad, self._row
        row[_GRAD] = norm = known.figure if known is not None and known.holds(grad) else self._gauge.norm(grad)
        if self._full:
            row[_COSINE] = self._gauge.cosine(self._weight.detach(), grad, row[_NORM], norm)

    def _effective(self) -> Tensor | None:
        """Return W as it is now; None for one that is not a parameter, and made by a hook when the layer is called."""
        if not self._parametrized:
            weight = self.used
            return weight.detach() if weight is not None and weight.is_leaf else None
        trained = [module for module in self._maker.modules() if module.training]
        on, self._switch.on = self._switch.on, False
        try:
            for module in trained:
                module.training = False  # else spectral_norm would go on with its iteration
            with torch.no_grad():
                return getattr(self._affine, self._name).detach()
        finally:
            self._switch.on = on
            for module in trained:
                module.training = True

    def _grad(self) -> Tensor | None:
        if self._parametrized:
            return self._made_grad
        weight = self.used
        grad = weight.grad if weight is not None and weight.is_leaf else None
        return grad.to_dense() if grad is not None and grad.layout is not torch.strided else grad

    def _on_accumulated(self, weight: Tensor) -> None:
        if not self._switch.on:
            return
        if self._ahead:
            self._read_grad()
        elif (grad := weight.grad) is not None and grad.layout is torch.strided:
            grad = grad.detach()
            self._known_grad = CachedFigure(grad, self._gauge.norm(grad))

    def _on_made(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if not self._switch.on:
            return
        self._weight = output
        if output.requires_grad and torch.is_grad_enabled():
            output.register_hook(self._on_made_grad)

    def _on_made_grad(self, grad: Tensor) -> None:
        if self._switch.on:
            self._made_grad = grad if self._made_grad is None else self._made_grad + grad
