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
        tensor: The measured tensor, detached.
        figure: Its figure.
    """

    __slots__ = ("_tensor", "_writes", "figure")

    def __init__(self, tensor: Tensor, figure: Any) -> None:
        self._tensor = tensor
        self._writes = count_writes(tensor)
        self.figure = figure

    def valid_for(self, tensor: Tensor) -> bool:
        """Return whether ``tensor`` is the measured one, unmodified."""
        return count_writes(tensor) == self._writes and tensor.data_ptr() == self._tensor.data_ptr()


class WeightReader:
    """Reads the effective weight W of one layer between backward pass, clipping and update.

    Under a parametrization (weight_norm) each forward pass computes a new W, so W and dL/dW are recorded there. Two
    layers that share a weight both report its whole gradient.

    Reading a matrix costs little more than fetching it from memory, so each is read while it is in the cache: dL/dW as
    soon as it is accumulated, and W for the next step together with this step's update.

    Args:
        point: The layer.
        row: Receives the figures.
        gauge: Computes the figures.
        switch: The hooks record while it is on.
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
        self._parametrized_grad: Tensor | None = None
        self._copy: Any = None  # of W as it was last read
        self._cached_norm: CachedFigure | None = None  # norm of W after the last update, of which `_copy` is a copy
        self._cached_grad_norm: CachedFigure | None = None
        self._ahead = self._full = False

    def attach(self) -> list[RemovableHandle]:
        """Register a hook on the parametrization, or on the weight's gradient, and return its handle."""
        if self._parametrized:
            return [self._parametrization.register_forward_hook(self._on_parametrization)]
        weight = self.used
        if weight is None or not (weight.is_leaf and weight.requires_grad):
            return []
        return [weight.register_post_accumulate_grad_hook(self._on_accumulated)]

    def clear(self) -> None:
        """Reset for a new step."""
        self._weight = self._parametrized_grad = self._cached_grad_norm = None
        self._ahead = False

    @property
    def used(self) -> Tensor | None:
        """W as the forward pass used it; None where that is not known yet."""
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
            self._cached_grad_norm = None

    def read_ahead(self, *, full: bool) -> None:
        """Measure W before the forward pass, and dL/dW whenever a backward pass has added to it.

        For a loop that does not report the moment between its backward pass and its update.
        """
        self._ahead, self._full = True, full
        self._weight = self._effective()
        if self._weight is not None:
            self._read_weight(self._weight)

    def unscale(self, scale: Tensor | float) -> None:
        """Divide the gradient of a parametrized weight by the loss scale."""
        self._cached_grad_norm = None
        if self._parametrized_grad is not None:
            self._parametrized_grad = self._parametrized_grad / scale

    def read_clipped(self) -> None:
        """Measure dL/dW after clipping; not for a parametrized weight, which is not clipped itself."""
        if not self._parametrized and (grad := self._grad()) is not None:
            self._row[_CLIPPED] = self._gauge.norm(grad)

    def read_update(self, *, for_next_step: bool) -> None:
        """Measure how far W moved since it was read.

        Args:
            for_next_step: Read W for the next step as well. That step reads W again if it was modified in between.
        """
        if self._weight is None or (weight := self._effective()) is None:
            return
        gauge, row = self._gauge, self._row
        if self._parametrized and row[_GRAD] is None:  # read ahead: no hook calls _read_grad for it
            self._read_grad()
        if for_next_step and not self._parametrized:
            update, norm = gauge.moved(weight, self._copy)
            self._cached_norm = CachedFigure(weight, norm)
        else:
            update = gauge.distance(weight, self._copy)
        row[_UPDATE] = update
        row[_RATIO] = gauge.ratio(update, row[_NORM])

    @property
    def _parametrization(self) -> Any:
        return self._affine.parametrizations[self._name]

    def _read_weight(self, weight: Tensor) -> None:
        cached, self._cached_norm = self._cached_norm, None
        if cached is not None and cached.valid_for(weight):
            self._row[_NORM] = cached.figure
        else:
            weight = weight.detach()
            self._row[_NORM] = self._gauge.norm(weight)
            self._copy = self._gauge.keep(weight, self._copy)

    def _read_grad(self) -> None:
        grad = self._grad()
        if grad is None or self._weight is None:
            return
        cached, row = self._cached_grad_norm, self._row
        row[_GRAD] = norm = cached.figure if cached is not None and cached.valid_for(grad) else self._gauge.norm(grad)
        if self._full:
            row[_COSINE] = self._gauge.cosine(self._weight.detach(), grad, row[_NORM], norm)

    def _effective(self) -> Tensor | None:
        """Return W as it is now; None if it is no parameter, but computed by a hook when the layer is called."""
        if not self._parametrized:
            weight = self.used
            return weight.detach() if weight is not None and weight.is_leaf else None
        trained = [module for module in self._parametrization.modules() if module.training]
        on, self._switch.on = self._switch.on, False
        try:
            for module in trained:
                module.training = False  # in training mode spectral_norm would iterate once more
            with torch.no_grad():
                return getattr(self._affine, self._name).detach()
        finally:
            self._switch.on = on
            for module in trained:
                module.training = True

    def _grad(self) -> Tensor | None:
        if self._parametrized:
            return self._parametrized_grad
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
            self._cached_grad_norm = CachedFigure(grad, self._gauge.norm(grad))

    def _on_parametrization(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if not self._switch.on:
            return
        self._weight = output
        if output.requires_grad and torch.is_grad_enabled():
            output.register_hook(self._on_parametrization_grad)

    def _on_parametrization_grad(self, grad: Tensor) -> None:
        if self._switch.on:
            self._parametrized_grad = grad if self._parametrized_grad is None else self._parametrized_grad + grad
