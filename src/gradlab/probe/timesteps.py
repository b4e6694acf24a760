"""Gradients of a recurrent layer's states at each time step, from a separate pass that is unrolled in time.

A hook on the output of torch's recurrent modules gets only the direct part of dL/dh_t, from the layer above at the same
time step; the part from later steps stays inside the kernel. So recorded steps unroll the same weights over the same
batch. Every state is then a node of the backward graph, and its gradient is the total derivative.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradlab.interfaces import Unrolled
from gradlab.probe.gauge import Gauge
from gradlab.probe.layer import LayerProbe
from gradlab.probe.rng import untouched_rng


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerPass:
    """One pass through a recurrent layer, with its gradients.

    Attributes:
        seen: The forward quantities of the layer.
        preactivation_grads: dL/dz, [T, n, gates * width].
        hidden: h_t, [T, n, width].
        hidden_grads: The total derivative dL/dh_t, [T, n, width].
        cell: c_t and the total derivative dL/dc_t of an LSTM, each [T, n, width]; else empty.
    """

    seen: Unrolled
    preactivation_grads: Tensor
    hidden: Tensor
    hidden_grads: Tensor
    cell: tuple[Tensor, ...]

    def norms(self, gauge: Gauge[Any], *, scale: Tensor | float = 1.0) -> Tensor:
        """Return the norms [T, 2 or 4] over the batch, as ``HIDDEN`` and ``CELL`` name them, in float64.

        Args:
            gauge: Computes the norms; that of K runs returns [T, 2 or 4, K].
            scale: Loss scale, by which the gradients are divided.
        """
        states, grads = zip((self.hidden, self.hidden_grads), *([self.cell] if self.cell else []), strict=True)
        pairs = [
            (gauge.time_norms(state), gauge.time_norms(grad) / scale) for state, grad in zip(states, grads, strict=True)
        ]
        return torch.stack([column for pair in pairs for column in pair], 1)


def unroll(model: nn.Module, inputs: Tensor, loss: Callable[[Tensor], Tensor]) -> list[LayerPass]:
    """Do a forward and a backward pass of a model unrolled in time, and leave the model unchanged.

    No ``.grad`` and no buffer is written, and the random state is restored.

    Args:
        model: Has a method ``unrolled()``: a context in which a forward pass is unrolled.
        inputs: A batch.
        loss: Maps the model's outputs to a 0-d tensor.

    Returns:
        The passes through recurrent layers, in the order of their calls.
    """
    with untouched_rng(inputs.device), torch.enable_grad(), model.unrolled() as tape:  # pyright: ignore[reportCallIssue]
        value = loss(model(inputs))
        nodes = [node for seen in tape for node in (seen.below, *seen.hidden, *seen.cell)]
        grads = iter(torch.autograd.grad(value, nodes, allow_unused=True, materialize_grads=True))
    return [
        LayerPass(
            seen=seen,
            preactivation_grads=next(grads),
            hidden=torch.stack(list(seen.hidden)).detach(),
            hidden_grads=torch.stack([next(grads) for _ in seen.hidden]),
            cell=tuple(
                torch.stack(list(part)).detach() for part in (seen.cell, [next(grads) for _ in seen.cell]) if part
            ),
        )
        for seen in tape
    ]


def put(layers: Sequence[LayerProbe], layer_pass: LayerPass, gauge: Gauge[Any], *, full: bool) -> None:
    """Record the pass through one recurrent layer in the rows of its two matrices.

    Args:
        layers: The recorded ones of the two, in the order of their rows.
        layer_pass: The pass through the layer.
        gauge: Computes the figures.
        full: Whether every column is recorded.
    """
    for lead in layers[:1]:
        seen, batch_first = layer_pass.seen, gauge.batch_first
        z_grads, hidden = batch_first(layer_pass.preactivation_grads), batch_first(layer_pass.hidden)
        lead.signal.put(batch_first(seen.preactivations), z_grads, hidden, batch_first(layer_pass.hidden_grads))
        if full:
            inputs = None if seen.activation_inputs is None else batch_first(seen.activation_inputs)
            lead.detail.put(layer_pass.preactivation_grads.transpose(0, 1), seen.activation, inputs, hidden)
        for layer in layers[1:]:
            layer.share_signal(lead)
