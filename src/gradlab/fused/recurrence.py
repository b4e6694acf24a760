"""K recurrent layers through time, forward and backward by hand: what torch's own kernels do for one set of weights.

Autograd would keep every small tensor of every time step's graph, and add up T gradients of each matrix as tensors of
their own. Here a step's numbers stay small enough for the cache from the product with the matrices to their gradients:
nothing but the hidden states is ever laid out for all time steps.
"""

from typing import Any, Protocol

import torch
from torch import Tensor

Kept = tuple[Tensor, ...]


class Cell(Protocol):
    """One time step; a state's first tensor is h, [K, n, width]."""

    states: int

    def step(self, below: Tensor, beside: Tensor, state: Kept) -> tuple[Kept, Kept]:
        """Return the next state, and what `back` needs.

        Args:
            below: What the input matrix and its bias bring, [K, n, gates * width]; may be written over.
            beside: The same of the recurrent matrix.
            state: The state before.
        """
        ...

    def back(self, grads: Kept, kept: Kept) -> tuple[Tensor, Tensor, Kept]:
        """Return the gradients of ``below``, of ``beside``, and of the state before, but for what went by ``beside``.

        Args:
            grads: Gradients of the state after.
            kept: What `step` returned.
        """
        ...


class Elman:
    """h = phi(z).

    Args:
        relu: Whether phi is relu; else it is tanh.
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
        brought = beside[..., 2 * width :]
        n = torch.addcmul(below[..., 2 * width :], r, brought).tanh_()
        return (torch.lerp(n, h, u),), (r, u, n, brought, h)

    def back(self, grads: Kept, kept: Kept) -> tuple[Tensor, Tensor, Kept]:
        """See `Cell`."""
        (grad,) = grads
        r, u, n, brought, h = kept
        through = grad * u
        inner = (grad - through) * torch.addcmul(torch.ones_like(n), n, n, value=-1)
        update = (h - n).mul_(through).mul_(1 - u)
        reset = (brought * inner).mul_(r).mul_(1 - r)
        return torch.cat([reset, update, inner], 2), torch.cat([reset, update, inner * r], 2), (through,)


class LSTM:
    """c = f c + i g, h = o tanh(c), gates in torch's order: i, f, g, o."""

    states = 2

    def step(self, below: Tensor, beside: Tensor, state: Kept) -> tuple[Kept, Kept]:
        """See `Cell`."""
        i, f, g, o = below.add_(beside).chunk(4, 2)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = torch.addcmul(f * state[1], i, g)
        squashed = c.tanh()
        return (o * squashed, c), (i, f, g, o, squashed, state[1])

    def back(self, grads: Kept, kept: Kept) -> tuple[Tensor, Tensor, Kept]:
        """See `Cell`."""
        h_grad, c_grad = grads
        i, f, g, o, squashed, before = kept
        out = h_grad * o
        c_grad = c_grad + torch.addcmul(out, out * squashed, squashed, value=-1)
        write = c_grad * i
        parts = (
            (write * g).mul_(1 - i),
            (c_grad * before).mul_(f).mul_(1 - f),
            torch.addcmul(write, write * g, g, value=-1),
            (out * squashed).mul_(1 - o),
        )
        z = torch.cat(parts, 2)
        return z, z, (torch.zeros_like(h_grad), c_grad * f)


CELLS: dict[str, Cell] = {"RNN_TANH": Elman(relu=False), "RNN_RELU": Elman(relu=True), "GRU": GRU(), "LSTM": LSTM()}


class Through(torch.autograd.Function):
    """K recurrent layers through T time steps, from a state of zeros."""

    @staticmethod
    def forward(
        ctx: Any, cell: Cell, trains: bool, x: Tensor, w: Tensor, u: Tensor, w_bias: Tensor, u_bias: Tensor
    ) -> Tensor:
        """Return the hidden states [T, K, n, width].

        Args:
            ctx: What `backward` needs.
            cell: One time step.
            trains: Whether there may be a backward pass; within this function torch does not say.
            x: Inputs [K, n, T, in].
            w: Input matrices [K, gates * width, in].
            u: Recurrent matrices [K, gates * width, width].
            w_bias: Biases [K, 1, gates * width].
            u_bias: Biases beside the recurrent matrices.
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
        """Return the gradients of what `forward` was given."""
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
