"""Catching the gradient of a layer's output, whole."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch._C import _autograd

# Whether the backward pass in progress keeps its graph; a torch without it sees every gradient as the last.
_keeps_graph: Callable[[], bool] = getattr(_autograd, "_get_current_graph_task_keep_graph", lambda: False)


class Catcher:
    """Hands over the gradient of each output, summed over the backward passes that reach it.

    The hooks hang on output TENSORS, where forward hooks put them: unlike full backward hooks they stand an in-place
    activation behind them, and a tensor that needs no gradient simply gets none. A pass that keeps its graph may be
    followed by another through the same output (two losses, one after the other): then, and only then, the gradient
    is held back until the last pass or the end of the step.

    Args:
        use: Called with each whole gradient, detached.
    """

    def __init__(self, use: Callable[[Tensor], None]) -> None:
        self.recording = False  # hooks may outlive the step: an evaluation must not be measured
        self._use = use
        self._outputs = 0
        self._held: dict[int, Tensor] = {}

    def catch(self, output: Tensor) -> None:
        """Wait for the gradient of an output, if it will get one."""
        if output.requires_grad and torch.is_grad_enabled():
            output.register_hook(partial(self._on_grad, self._outputs))
            self._outputs += 1

    def clear(self) -> None:
        """Forget the last step."""
        self._outputs = 0
        self._held.clear()

    def finish(self) -> None:
        """Hand over what was held back."""
        for grad in self._held.values():
            self._use(grad)
        self._held.clear()

    def _on_grad(self, number: int, grad: Tensor) -> None:
        if not self.recording:
            return
        if grad.requires_grad:
            grad = grad.detach()
        if self._held and number in self._held:
            grad = self._held.pop(number) + grad
        if _keeps_graph():
            self._held[number] = grad
        else:
            self._use(grad)
