"""The signal of one layer on the way forward and its gradient on the way back: columns recorded at every step."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gradlab.points import Point
from gradlab.probe.pool import ACTIVATION, PREACTIVATION, Pool


class SignalHooks:
    """Measures z, h, dL/dz and dL/dh of one layer.

    The gradients are caught by hooks on output TENSORS that the forward hooks put there: unlike full backward hooks
    they stand an in-place activation behind them, and a tensor that needs no gradient simply gets none. The forward
    figures are taken at once, before such an activation writes over the tensor.

    Args:
        point: Where to measure.
        pool: Where the figures go.
        turns: Counts the layers of one step in the order in which they are first called.
    """

    def __init__(self, point: Point, pool: Pool, turns: Iterator[int]) -> None:
        self.point = point
        self.pool = pool
        self.calls = 0
        self.turn = 0
        self._turns = turns
        self._moments, self._norm = pool.gauge.moments, pool.gauge.norm
        self._whole = point.output is point.affine  # the head: h is z

    def attach(self) -> list[RemovableHandle]:
        """Register the forward hooks and return their handles."""
        handles = [self.point.affine.register_forward_hook(self._on_affine)]
        if not self._whole:
            handles.append(self.point.output.register_forward_hook(self._on_output))
        return handles

    def _on_affine(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if not self.pool.recording:
            return
        if not self.calls:
            self.turn = next(self._turns)
        self.calls += 1
        z = output.detach()
        moments = self._moments(z)
        self.pool.add_moments(PREACTIVATION, moments, z)
        if self._whole:
            self.pool.add_moments(ACTIVATION, moments, z)
        if output.requires_grad:
            output.register_hook(self._on_affine_grad)

    def _on_output(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if not self.pool.recording:
            return
        h = output.detach()
        self.pool.add_moments(ACTIVATION, self._moments(h), h)
        if output.requires_grad:
            output.register_hook(self._on_output_grad)

    def _on_affine_grad(self, grad: Tensor) -> None:
        norm = self._norm(grad.detach() if grad.requires_grad else grad)
        self.pool.add_norm("preactivation_grad_norm", norm)
        if self._whole:
            self.pool.add_norm("activation_grad_norm", norm)

    def _on_output_grad(self, grad: Tensor) -> None:
        self.pool.add_norm("activation_grad_norm", self._norm(grad.detach() if grad.requires_grad else grad))
