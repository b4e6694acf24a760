"""One recurrent layer: torch's kernel for training, and the same weights unrolled for recording."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradlab.interfaces import Unrolled
from gradlab.nn.cells import Cell


class Gates(nn.Module):
    """One of the two matrices of a recurrent layer as a module; the parameters stay in torch's recurrent module.

    Args:
        weights: torch's recurrent module of one layer.
        kind: ``ih`` for the input matrix, ``hh`` for the recurrent one.
        normalization: Normalizes the product with the matrix, before the bias is added.
    """

    def __init__(self, weights: nn.RNNBase, kind: str, normalization: nn.Module) -> None:
        super().__init__()
        self._owner = (weights,)  # in a tuple, so that torch does not register it as a child of two modules
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
        """Map [..., in] to this matrix's contribution to the gates, with its bias, [..., gates * width]."""
        if isinstance(self.normalization, nn.Identity):
            return F.linear(x, self.weight, self.bias)
        normalized = self.normalization(F.linear(x, self.weight))
        return normalized if self.bias is None else normalized + self.bias


class RecurrentLayer(nn.Module):
    """Maps sequences [n, T, in] to the hidden states [n, T, width], starting from a zero state.

    Args:
        weights: torch's recurrent module of one layer, batch first, which holds the matrices and biases.
        cell: One time step.
        native: Whether torch's module computes the same function as the cell; otherwise every pass is unrolled.
    """

    def __init__(self, weights: nn.RNNBase, cell: Cell, *, native: bool) -> None:
        super().__init__()
        self.weights, self.cell, self._native = weights, cell, native
        self.input = Gates(weights, "ih", cell.map_norm())
        self.recurrent = Gates(weights, "hh", cell.map_norm())
        self.activation = nn.Identity()  # read by residual blocks: no activation follows the sum with the skip
        self.tape: list[Unrolled] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, T, in] to [n, T, width]."""
        if self._native and self.tape is None:
            return self.weights(x)[0]
        return self._unroll(x)

    def _unroll(self, x: Tensor) -> Tensor:
        # One graph node per state, so that dL/dh_t is available; torch's kernel hides the states between its steps.
        # `forward`, not a call: hooks on these modules would run once per time step.
        below = self.input.forward(x.transpose(0, 1))
        if self.tape is not None and not below.requires_grad:
            below.requires_grad_()  # dL/dz is recorded for frozen layers too
        step, recurrent_map = self.cell, self.recurrent.forward
        state = (x.new_zeros(x.shape[0], self.weights.hidden_size),) * self.cell.states
        preactivations, states = [], []
        for part in below.unbind():
            z, state = step(part, recurrent_map(state[0]), state)
            preactivations.append(z)
            states.append(state)
        hidden, *cell = zip(*states, strict=True)
        if self.tape is not None:
            pieces = [torch.stack(piece).detach() for piece in zip(*preactivations, strict=True)]
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
    """Unroll every recurrent layer of a model within the ``with`` block, and record each pass of each layer.

    Args:
        model: A model with `RecurrentLayer`s.

    Yields:
        A list to which each pass is appended, in the order of the calls.
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
