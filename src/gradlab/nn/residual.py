"""Residual connections: factories called as ``residual(branch, shortcut, index, blocks)`` that return a block.

``branch`` is an ``nn.Sequential`` of layers, arranged as in the class attribute ``order``. ``shortcut`` carries the
block's input past the branch (an identity if the shapes agree). The block has number ``index``, from 0, of ``blocks``.
A class with ``opens_layers`` changes the parts of its branch's layers, so it does not work with recurrent layers.
"""

from collections import OrderedDict
from math import sqrt
from typing import Annotated, Any, Literal

import torch
from annotated_types import Gt, Le
from torch import Tensor, nn

from gradlab.nn.blocks import block_layers
from gradlab.nn.layers import ACTIVATION_FIRST, AFFINE_FIRST, Fork


def none(branch: nn.Sequential, shortcut: nn.Module, index: int, blocks: int) -> nn.Module:
    """Return the branch alone: a plain network."""
    return branch


class Identity(nn.Module):
    """phi(x + F(x)): the activation follows the sum (He et al. 2015, "Deep residual learning")."""

    order = AFFINE_FIRST

    def __init__(self, branch: nn.Sequential, shortcut: nn.Module, index: int, blocks: int) -> None:
        super().__init__()
        self.branch, self.fork, self.shortcut = branch, Fork(), shortcut
        self.activation: Any = branch[-1].activation  # moved from the end of the branch to after the sum
        del branch[-1].activation

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, features, ...] to the shape of the branch's output."""
        return self.activation(self.shortcut(self.fork(x)) + self.branch(x))


class PreActivation(nn.Module):
    """x + F(x), with nothing after the sum (He et al. 2016, "Identity mappings in deep residual networks")."""

    order = ACTIVATION_FIRST

    def __init__(self, branch: nn.Sequential, shortcut: nn.Module, index: int, blocks: int) -> None:
        super().__init__()
        self.branch, self.fork, self.shortcut = branch, Fork(), shortcut

    def weigh(self, branch: Tensor) -> Tensor:
        """Return c F(x), given F(x); here c = 1."""
        return branch

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, features, ...] to the shape of the branch's output."""
        return self.shortcut(self.fork(x)) + self.weigh(self.branch(x))


class Scaled(PreActivation):
    """x + alpha F(x) with fixed alpha: a number, or 1/sqrt(blocks), which makes norm growth independent of depth."""

    def __init__(
        self,
        branch: nn.Sequential,
        shortcut: nn.Module,
        index: int,
        blocks: int,
        *,
        alpha: float | Literal["1/sqrt(blocks)"] = "1/sqrt(blocks)",
    ) -> None:
        super().__init__(branch, shortcut, index, blocks)
        self.alpha = 1 / sqrt(blocks) if isinstance(alpha, str) else alpha

    def weigh(self, branch: Tensor) -> Tensor:
        """Return alpha F(x)."""
        return self.alpha * branch


class LearnedScale(PreActivation):
    """x + a F(x) with one learned number a per block, which starts at ``initial``; 0 makes the block an identity.

    Sources: Bachlechner et al. 2020 (ReZero) and De & Smith 2020 (SkipInit).
    """

    def __init__(
        self, branch: nn.Sequential, shortcut: nn.Module, index: int, blocks: int, *, initial: float = 0.0
    ) -> None:
        super().__init__(branch, shortcut, index, blocks)
        self.alpha = nn.Parameter(torch.full((), float(initial)))

    def weigh(self, branch: Tensor) -> Tensor:
        """Return a F(x)."""
        return self.alpha * branch


class StochasticDepth(PreActivation):
    """x + b F(x), where b is 1 with a probability that falls linearly from 1 to ``survival`` at the last block, else 0.

    At evaluation b is its mean (Huang et al. 2016, eq. 2, 4 and 5).
    """

    def __init__(
        self,
        branch: nn.Sequential,
        shortcut: nn.Module,
        index: int,
        blocks: int,
        *,
        survival: Annotated[float, Gt(0), Le(1)] = 0.5,
        per_sample: bool = False,
    ) -> None:
        super().__init__(branch, shortcut, index, blocks)
        self.survival = 1 - (index + 1) / blocks * (1 - survival)
        self.per_sample = per_sample

    def weigh(self, branch: Tensor) -> Tensor:
        """Return b F(x), one draw of b for the batch or, ``per_sample``, for each sample."""
        if not self.training or self.survival == 1:  # nothing is drawn for a block that is never dropped
            return self.survival * branch
        shape = (branch.shape[0] if self.per_sample else 1,) + (1,) * (branch.dim() - 1)
        return torch.empty(shape, device=branch.device, dtype=branch.dtype).bernoulli_(self.survival) * branch


class Highway(nn.Module):
    """T(x) H(x) + (1 - T(x)) x with the learned gate T = sigmoid(W x + b) (Srivastava et al. 2015, eq. 3).

    Args:
        branch: Layers of H.
        shortcut: Carries x past the branch.
        index: Number of the block, from 0.
        blocks: Number of blocks.
        gate_bias: Initial value of b; negative, so that the block starts near the identity. The gate always has a bias.
    """

    order = AFFINE_FIRST
    opens_layers = True

    def __init__(
        self, branch: nn.Sequential, shortcut: nn.Module, index: int, blocks: int, *, gate_bias: float = -2.0
    ) -> None:
        super().__init__()
        self.branch, self.fork, self.shortcut = branch, Fork(), shortcut
        affine = _gate_map(branch[0].affine)
        nn.init.xavier_normal_(affine.weight)
        nn.init.constant_(affine.bias, gate_bias)
        self.gate = nn.Sequential(OrderedDict[str, nn.Module](affine=affine, activation=nn.Sigmoid()))

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, features, ...] to the shape of the branch's output."""
        gate = self.gate(x)
        return gate * self.branch(x) + (1 - gate) * self.shortcut(self.fork(x))


class Fixup(PreActivation):
    """x + a F(x) with a zero last layer and scaled-down others, to train without normalization (Zhang et al. 2019).

    Each branch has a learned multiplier a, initially 1, and a learned bias before each activation, initially 0. The
    last of a branch's m weight layers starts at 0; the other m - 1 are scaled by blocks^(-1 / (2m - 2)).

    Args:
        branch: Layers of F.
        shortcut: Carries x past the branch.
        index: Number of the block, from 0.
        blocks: Number of blocks.
        zero_head: Also start the head at 0, as the paper does. Off by default: a zero head makes every other gradient
            of the first step exactly zero, so the first recorded step would show nothing.
    """

    opens_layers = True

    def __init__(
        self, branch: nn.Sequential, shortcut: nn.Module, index: int, blocks: int, *, zero_head: bool = False
    ) -> None:
        super().__init__(branch, shortcut, index, blocks)
        self.alpha = nn.Parameter(torch.ones(()))
        self.blocks = blocks
        self.zero_head = zero_head
        for layer in block_layers(branch):
            layer.normalization = nn.Sequential(layer.normalization, ScalarBias())

    def weigh(self, branch: Tensor) -> Tensor:
        """Return a F(x)."""
        return self.alpha * branch

    @staticmethod
    @torch.no_grad()
    def finish(model: nn.Module, batch: Tensor) -> None:
        """Scale and zero the weights of every Fixup block of ``model``; ``batch`` is unused."""
        for block in (module for module in model.modules() if isinstance(module, Fixup)):
            *inner, last = block_layers(block)
            for layer in inner:  # m - 1 layers
                weight_scale(layer.affine).mul_(block.blocks ** (-1 / (2 * len(inner))))
            weight_scale(last.affine).zero_()
            if block.zero_head:
                weight_scale(model.head).zero_()


class ScalarBias(nn.Module):
    """One learned number, initially 0, added to every entry."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return x + bias, the shape of ``x``."""
        return x + self.bias


def _gate_map(first: Any) -> Any:
    """Return a new map of the shape of the branch's first, the only one that may change the signal's shape."""
    if isinstance(first, nn.Linear):
        return nn.Linear(first.in_features, first.out_features)
    return nn.Conv2d(
        first.in_channels,
        first.out_channels,
        first.kernel_size,
        stride=first.stride,
        padding=first.padding,
        padding_mode=first.padding_mode,
    )


def weight_scale(affine: Any) -> Tensor:
    """Return the tensor to scale a layer's effective weight by: the weight or, under weight_norm, its length g."""
    if nn.utils.parametrize.is_parametrized(affine, "weight"):
        return affine.parametrizations.weight.original0
    return affine.weight
