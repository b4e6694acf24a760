"""K recurrent layers with forward and backward pass written out: torch's own kernels take one set of weights.

Autograd would keep every small tensor of every time step's graph, and add up T gradients of each matrix as tensors of
their own. Here the tensors of a step stay in the processor's cache; only the hidden states exist for all steps at once.
There is no LSTM: torch's kernel for it, one run after another, is faster on a CPU.
"""

from typing import Any, Protocol

import torch
from torch import Tensor

Kept = tuple[Tensor, ...]


class Cell(Protocol):
    """One time step and its backward pass; a state's first tensor is h, [K, n, width]."""

    states: int

    def step(self, below: Tensor, beside: Tensor, state: Kept) -> tuple[Kept, Kept]:
        """Return the next state, and the tensors that `back` needs.

        Args:
            below: Product of the input matrix plus bias, [K, n, gates * width]; may be overwritten.
            beside: Product of the recurrent matrix plus bias, of the same shape.
            state: The previous state.
        """
        ...

    def back(self, grads: Kept, kept: Kept) -> tuple[Tensor, Tensor, Kept]:
        """Return the gradients of ``below``, of ``beside``, and of the previous state except through ``beside``.

        Args:
            grads: Gradients of the next state.
            kept: The tensors that `step` returned for this purpose.
        """
        ...


class Elman:
    """h = phi(z).

    Args:
        relu: Take relu for phi, not tanh.
    """

    states = 1

    def __init__(self, *, relu: bool) -> None:
        self._relu = relu

    def step(self, below: Tensor, beside: Tensor, state: Kept) -> tuple[Kept, Kept]:
        """See `Cell`."""
        z = below.add_(beside)
        h = z.relu_() if self._relu else z.tanh_()
        return (h,), (h,)

    def back(self, grads: Kept, kept: Kept) -> tuple[Tensor, Tensor, Kept]:
        """See `Cell`."""
        (h,) = kept
        z = grads[0] * (h > 0) if self._relu else torch.addcmul(grads[0], grads[0] * h, h, value=-1)
        return z, z, (torch.zeros_like(h),)


class GRU:
    """h = (1 - u) n + u h, n = tanh(W x + r (U h)), gates in torch's order: r, u, n."""

    states = 1

    def step(self, below: Tensor, beside: Tensor, state: Kept) -> tuple[Kept, Kept]:
        """See `Cell`."""
        (h,) = state
        width = h.shape[2]
        r, u = below[..., :width].add(beside[..., :width]), below[..., width:-width].add(beside[..., width:-width])
        r, u = r.sigmoid_(), u.sigmoid_()
        candidate = beside[..., 2 * width :]
        n = torch.addcmul(below[..., 2 * width :], r, candidate).tanh_()
        return (torch.lerp(n, h, u),), (r, u, n, candidate, h)

    def back(self, grads: Kept, kept: Kept) -> tuple[Tensor, Tensor, Kept]:
        """See `Cell`."""
        (grad,) = grads
        r, u, n, candidate, h = kept
        through = grad * u
        inner = (grad - through) * torch.addcmul(torch.ones_like(n), n, n, value=-1)
        update = (h - n).mul_(through).mul_(1 - u)
        reset = (candidate * inner).mul_(r).mul_(1 - r)
        return torch.cat([reset, update, inner], 2), torch.cat([reset, update, inner * r], 2), (through,)


CELLS: dict[str, Cell] = {"RNN_TANH": Elman(relu=False), "RNN_RELU": Elman(relu=True), "GRU": GRU()}


class Through(torch.autograd.Function):
    """K recurrent layers over T time steps, from a state of zeros."""

    @staticmethod
    def forward(
        ctx: Any, cell: Cell, trains: bool, x: Tensor, w: Tensor, u: Tensor, w_bias: Tensor, u_bias: Tensor
    ) -> Tensor:
        """Return the hidden states [T, K, n, width].

        Args:
            ctx: Holds the tensors for `backward`.
            cell: One time step.
            trains: Whether there may be a backward pass; gradients are always disabled within this function.
            x: Inputs [K, n, T, in].
            w: Input matrices [K, gates * width, in].
            u: Recurrent matrices [K, gates * width, width].
            w_bias: Biases [K, 1, gates * width].
            u_bias: Biases added to the products of the recurrent matrices, of the same shape.
        """
        across = w.transpose(1, 2), u.transpose(1, 2)
        state = (x.new_zeros(*x.shape[:2], u.shape[2]),) * cell.states
        hidden, kept = [], []
        for part in x.unbind(2):
            below, beside = torch.baddbmm(w_bias, part, across[0]), torch.baddbmm(u_bias, state[0], across[1])
            state, needed = cell.step(below, beside, state)
            hidden.append(state[0])
            if trains:
                kept.append(needed)
        ctx.cell, ctx.kept, ctx.hidden = cell, kept, hidden if kept else []
        ctx.save_for_backward(x, w, u)
        return torch.stack(hidden)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the arguments of `forward`."""
        x, w, u = ctx.saved_tensors
        (grads,) = outputs
        w_grad, u_grad = torch.zeros_like(w), torch.zeros_like(u)
        x_grad = torch.empty_like(x) if ctx.needs_input_grad[2] else None
        totals = [x.new_zeros(*x.shape[:2], w.shape[1]) for _ in range(2)]
        state = (torch.zeros_like(grads[0]),) * ctx.cell.states
        for t in range(len(grads) - 1, -1, -1):
            below, beside, before = ctx.cell.back((state[0] + grads[t], *state[1:]), ctx.kept[t])
            w_grad.baddbmm_(below.transpose(1, 2), x[:, :, t])
            if x_grad is not None:
                x_grad[:, :, t] = torch.bmm(below, w)
            if t:
                u_grad.baddbmm_(beside.transpose(1, 2), ctx.hidden[t - 1])
                state = (before[0].baddbmm_(beside, u), *before[1:])
            for total, part in zip(totals, (below, beside), strict=True):
                total.add_(part)
        return None, None, x_grad, w_grad, u_grad, *(total.sum(1, keepdim=True) for total in totals)
