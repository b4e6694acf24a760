"""Catching the gradient of a layer's output, whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from gradlab.compat import torch_private


@dataclass(slots=True)
class Switch:
    """Whether what hooks see belongs to the step: they may outlive it, and an evaluation must not be measured.

    Attributes:
        on: Whether it does.
    """

    on: bool = False


class Catcher:
    """Hands over the gradient of each output, summed over the backward passes that reach it.

    The hooks hang on the NODES that made the outputs, where forward hooks put them: unlike full backward hooks they
    stand an in-place activation behind them, and cost half of what a hook on the tensor does. A tensor that needs no
    gradient simply gets none. A pass that keeps its graph may be followed by another through the same output (two
    losses, one after the other): then, and only then, the gradient is held back until the last pass or the end of the
    step.

    Args:
        use: Called with each whole gradient, detached.
        switch: Whether a gradient belongs to the step.
    """

    def __init__(self, use: Callable[[Tensor], None], switch: Switch) -> None:
        self._use = use
        self._switch = switch
        self._outputs = 0
        self._hooks: list[Callable[[Sequence[Tensor | None]], None]] = []  # one for each call in a step, made once
        self._held: dict[int, Tensor] = {}

    def catch(self, output: Tensor) -> None:
        """Wait for the gradient of an output, if it will get one; torch is recording gradients."""
        number = self._outputs
        self._outputs += 1
        if number == len(self._hooks):
            self._hooks.append(self._hook(number))
        hook, node = self._hooks[number], output.grad_fn
        if node is None:
            if output.requires_grad:  # a leaf has none
                output.register_hook(lambda grad: hook((grad,)))
        elif place := output.output_nr:
            node.register_prehook(lambda grads: hook(grads[place:]))
        else:
            node.register_prehook(hook)

    def clear(self) -> None:
        """Forget the last step."""
        self._outputs = 0
        if self._held:
            self._held.clear()

    def finish(self) -> None:
        """Hand over what was held back."""
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
