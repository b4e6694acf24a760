"""One recurrent layer: torch's own kernel to train with, and the same weights unrolled to look inside."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradlab.interfaces import Unrolled
from gradlab.nn.cells import Cell


class Gates(nn.Module):
    """One of the two matrices of a recurrent layer, as a module of its own: the owner of the weight is torch's module.

    Args:
        weights: torch's recurrent module of one layer.
        kind: ``ih`` for the input matrix, ``hh`` for the recurrent one.
        normalization: Normalizes what the matrix brings, before the bias.
    """

    def __init__(self, weights: nn.RNNBase, kind: str, normalization: nn.Module) -> None:
        super().__init__()
        self._owner = (weights,)  # in a tuple, or it would be a child of two modules
        self._kind = kind
        self.normalization = normalization

    @property
    def weight(self) -> nn.Parameter:
        """The matrix [gates * width, in]."""
        return getattr(self._owner[0], f"weight_{self._kind}_l0")

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias [gates * width], or None."""
        return getattr(self._owner[0], f"bias_{self._kind}_l0", None)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in] to what the matrix and its bias bring to the gates, [..., gates * width]."""
        if isinstance(self.normalization, nn.Identity):
            return F.linear(x, self.weight, self.bias)
        normalized = self.normalization(F.linear(x, self.weight))
        return normalized if self.bias is None else normalized + self.bias


class RecurrentLayer(nn.Module):
    """Maps sequences [n, T, in] to the hidden states [n, T, width], from a state of zeros.

    Args:
        weights: torch's recurrent module of one layer, batch first, which holds the matrices and biases.
        cell: One time step.
        native: Whether torch's module computes just what the cell does; else every pass is unrolled.
    """

    def __init__(self, weights: nn.RNNBase, cell: Cell, *, native: bool) -> None:
        super().__init__()
        self.weights, self.cell, self._native = weights, cell, native
        self.input = Gates(weights, "ih", cell.map_norm())
        self.recurrent = Gates(weights, "hh", cell.map_norm())
        self.activation = nn.Identity()  # nothing follows the recurrence, so a skip around it is a plain sum
        self.tape: list[Unrolled] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, T, in] to [n, T, width]."""
        if self._native and self.tape is None:
            return self.weights(x)[0]
        return self._unroll(x)

    def _unroll(self, x: Tensor) -> Tensor:
        # `forward`, not a call: hooks at these modules would see single time steps, T times.
        below = self.input.forward(x.transpose(0, 1))
        if self.tape is not None and not below.requires_grad:
            below.requires_grad_()  # a frozen layer has a gradient at z too
        step, beside = self.cell, self.recurrent.forward
        state = (x.new_zeros(x.shape[0], self.weights.hidden_size),) * self.cell.states
        seen, states = [], []
        for part in below.unbind():
            z, state = step(part, beside(state[0]), state)
            seen.append(z)
            states.append(state)
        hidden, *cell = zip(*states, strict=True)
        if self.tape is not None:
            pieces = [torch.stack(piece).detach() for piece in zip(*seen, strict=True)]
            z = pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-1)
            self.tape.append(
                Unrolled(
                    layer=self,
                    below=below,
                    preactivations=z,
                    hidden=hidden,
                    cell=cell[0] if cell else (),
                    activation=self.cell.activation,
                    activation_inputs=self.cell.activation_inputs(z).detach() if self.cell.activation else None,
                )
            )
        return torch.stack(hidden, 1)


@contextmanager
def unrolled(model: nn.Module) -> Iterator[list[Unrolled]]:
    """Unroll every recurrent layer of a model within the block, and keep what each pass of a layer computed.

    Args:
        model: A model with `RecurrentLayer`s, called once or more in the block.

    Yields:
        The list of the passes so far, in the order of their calls.
    """
    layers = [module for module in model.modules() if isinstance(module, RecurrentLayer)]
    tape: list[Unrolled] = []
    for layer in layers:
        layer.tape = tape
    try:
        yield tape
    finally:
        for layer in layers:
            layer.tape = None
