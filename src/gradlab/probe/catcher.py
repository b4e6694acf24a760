"""Catch the gradients of outputs, summed over the backward passes of a step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from gradlab.compat import torch_private


@dataclass(slots=True)
class Switch:
    """Switches all hooks on and off: they can outlive a step, and an evaluation must not be recorded.

    Attributes:
        on: Whether the hooks record.
    """

    on: bool = False


class Catcher:
    """Calls a function with the gradient of each output, summed over the backward passes that reach it.

    Forward hooks call `catch`, which registers a hook on the autograd NODE (``grad_fn``) of the output. Unlike full
    backward hooks, node hooks allow an in-place activation after the layer, and they cost half as much as a hook on the
    tensor. An output that requires no gradient gets no hook. A pass that keeps its graph may be followed by another
    through the same output (two losses in turn). Only then is the gradient held back, until the last pass or the end of
    the step.

    Args:
        use: Called with each complete gradient, detached, in the shape of its output.
        switch: Gradients that arrive while it is off are ignored.
    """

    def __init__(self, use: Callable[[Tensor], None], switch: Switch) -> None:
        self._use = use
        self._switch = switch
        self._outputs = 0
        self._hooks: list[Callable[[Sequence[Tensor | None]], None]] = []  # one for each call in a step, made once
        self._held: dict[int, Tensor] = {}

    def catch(self, output: Tensor) -> None:
        """Register a hook for the gradient of ``output``; gradients must be enabled."""
        number = self._outputs
        self._outputs += 1
        if number == len(self._hooks):
            self._hooks.append(self._hook(number))
        hook, node = self._hooks[number], output.grad_fn
        if node is None:
            if output.requires_grad:  # a leaf has no node
                output.register_hook(lambda grad: hook((grad,)))
        elif index := output.output_nr:
            node.register_prehook(lambda grads: hook(grads[index:]))
        else:
            node.register_prehook(hook)

    def clear(self) -> None:
        """Reset for a new step."""
        self._outputs = 0
        if self._held:
            self._held.clear()

    def finish(self) -> None:
        """Use the gradients that were held back."""
        if self._held:
            for grad in self._held.values():
                self._use(grad)
            self._held.clear()

    def _hook(self, number: int) -> Callable[[Sequence[Tensor | None]], None]:
        held, use, switch = self._held, self._use, self._switch
        keeps_graph = torch_private.keeps_graph

        def on_grads(grads: Sequence[Tensor | None]) -> None:
            grad = grads[0]
            if not switch.on or grad is None:
                return
            if grad.requires_grad:
                grad = grad.detach()
            if number in held:
                grad = held.pop(number) + grad
            if keeps_graph():
                held[number] = grad
            else:
                use(grad)

        return on_grads
