"""Batched versions of modules: one call computes what the modules of K runs would compute one after another.

The samples of all runs share one batch dimension, [K * n, ...], run after run; parameters and buffers are stacked in a
first dimension of length K. So a module that treats each sample alone needs no batched version, a model's own code sees
the shapes it expects, and hooks see real tensors. `network.fuse` mixes these classes into those of the modules.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradlab.compat.torch_private import scale_rows
from gradlab.fused.recurrence import CELLS, Through
from gradlab.nn import activations, auxiliary, cells, cnn, layers, mlp, normalization, recurrent, residual, shortcuts
from gradlab.nn.recurrent_net import Recurrent


class Batched:
    """Mixed into a module's class; ``runs`` is K."""

    runs: int

    def by_run(self, x: Tensor, dim: int = 0) -> Tensor:
        """Return ``x`` with the samples' dimension split into [K, n]."""
        return x.unflatten(dim, (self.runs, -1))


class Linear(Batched):
    """K affine maps of [K * n, ..., in]."""

    def forward(self: Any, x: Tensor) -> Tensor:
        """Return [K * n, ..., out]."""
        return batched_linear(x.reshape(self.runs, -1, x.shape[-1]), self.weight, self.bias).view(*x.shape[:-1], -1)


def batched_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return x W' + b for [K, n, in], [K, out, in] and [K, out]."""
    if bias is None:
        return torch.bmm(x, weight.transpose(1, 2))
    return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))


class Conv2d(Batched):
    """K convolutions of maps [K * n, in, h, w]: on a GPU as one with K groups, on a CPU one after another.

    On a CPU one convolution with K groups is no faster, and it rounds differently from a single run's: optimizers that
    divide by the gradient's own size let such differences grow.
    """

    def forward(self: Any, x: Tensor) -> Tensor:
        """Return [K * n, out, h', w']."""
        if x.device.type == "cpu":
            biases = [None] * self.runs if self.bias is None else self.bias.unbind()
            single = zip(x.chunk(self.runs), self.weight.unbind(), biases, strict=True)
            return torch.cat([_convolved(self, *own, groups=self.groups) for own in single])
        side_by_side = self.by_run(x).transpose(0, 1).flatten(1, 2)
        bias = None if self.bias is None else self.bias.flatten()
        weight = self.weight.flatten(0, 1)
        y = _convolved(self, side_by_side, weight, bias, groups=self.groups * self.runs)
        return y.unflatten(1, (self.runs, -1)).transpose(0, 1).flatten(0, 1)


def _convolved(module: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *, groups: int) -> Tensor:
    """Return the output of an ``nn.Conv2d`` with other weights and groups; its padding is not given as a word."""
    padding = module.padding
    if module.padding_mode != "zeros":
        x = F.pad(x, [size for size in reversed(padding) for _ in range(2)], mode=module.padding_mode)
        padding = 0
    return F.conv2d(x, weight, bias, module.stride, padding, module.dilation, groups)


class BatchNorm(Batched):
    """K batch normalizations, each over its own samples."""

    def forward(self: Any, x: Tensor) -> Tensor:
        """Return the normalized [K * n, features, ...]."""
        side_by_side = self.by_run(x).transpose(0, 1).flatten(1, 2)
        if self.training:
            self.num_batches_tracked.add_(1)
        y = F.batch_norm(
            side_by_side,
            self.running_mean.view(-1),
            self.running_var.view(-1),
            None if self.weight is None else self.weight.flatten(),
            None if self.bias is None else self.bias.flatten(),
            self.training,
            self.momentum,
            self.eps,
        )
        return y.unflatten(1, (self.runs, -1)).transpose(0, 1).flatten(0, 1)


class LastDimension(Batched):
    """K normalizations of the last dimension.

    Samples are the first dimension, or with ``from_end`` the last but one: in a recurrent cell, behind the time steps.
    """

    from_end = False

    def affine(self: Any, x: Tensor) -> Tensor:
        """Return the normalized ``x`` times each run's weight, plus its bias."""
        if self.weight is None:
            return x
        split = self.by_run(x, -2 if self.from_end else 0)
        between = (1,) * (1 if self.from_end else split.dim() - 2)
        split = split * self.weight.view(self.runs, *between, -1)
        bias = getattr(self, "bias", None)
        return (split if bias is None else split + bias.view(self.runs, *between, -1)).view(x.shape)


class LayerNorm(LastDimension):
    """K layer normalizations."""

    def forward(self: Any, x: Tensor) -> Tensor:
        """Return the normalized ``x``."""
        return self.affine(F.layer_norm(x, self.normalized_shape, None, None, self.eps))


class RMSNorm(LastDimension):
    """K root-mean-square normalizations."""

    def forward(self: Any, x: Tensor) -> Tensor:
        """Return the normalized ``x``."""
        return self.affine(F.rms_norm(x, self.normalized_shape, None, self.eps))


class GroupNorm(Batched):
    """K group normalizations of [K * n, features, ...]."""

    def forward(self: Any, x: Tensor) -> Tensor:
        """Return the normalized ``x``."""
        x = F.group_norm(x, self.num_groups, None, None, self.eps)
        if self.weight is None:
            return x
        split = self.by_run(x)
        shape = (self.runs, 1, -1, *(1 for _ in x.shape[2:]))
        return torch.addcmul(self.bias.view(shape), split, self.weight.view(shape)).view(x.shape)


class PReLU(Batched):
    """K leaky ReLUs, each with one learned slope."""

    def forward(self: Any, x: Tensor) -> Tensor:
        """Return the shape of ``x`` [K * n, ...]."""
        return F.prelu(x.reshape(1, self.runs, -1), self.weight.flatten()).view(x.shape)


class LearnedScale(Batched):
    """K residual blocks, each with a learned number on its branch."""

    def weigh(self: Any, branch: Tensor) -> Tensor:
        """Return a F(x), given F(x) [K * n, ...]."""
        return (self.by_run(branch) * per_run(self.alpha, branch)).view(branch.shape)


class ScalarBias(Batched):
    """K learned numbers, each added to every entry of its run."""

    def forward(self: Any, x: Tensor) -> Tensor:
        """Return the shape of ``x`` [K * n, ...]."""
        return (self.by_run(x) + per_run(self.bias, x)).view(x.shape)


def per_run(numbers: Tensor, like: Tensor) -> Tensor:
    """Return one number for each run, [K], in a shape that broadcasts to ``like`` [K * n, ...] split by runs."""
    return numbers.view(-1, *(1 for _ in like.shape))


class WeightNorm(Batched):
    """K weight normalizations: every row of every run has a length of its own."""

    def forward(self: Any, length: Tensor, direction: Tensor) -> Tensor:
        """Return the weights [K, out, ...], given the lengths [K, out, 1, ...] and directions [K, out, ...]."""
        return scale_rows(direction.flatten(0, 1), length.flatten(0, 1)).view(direction.shape)


class Gates(Batched):
    """K matrices of a recurrent layer, for [K * n, in] or, with time steps in front, [T, K * n, in]."""

    def forward(self: Any, x: Tensor) -> Tensor:
        """Return the matrices' products and biases, which the gates add up, [..., K * n, gates * width]."""
        plain = isinstance(self.normalization, nn.Identity)
        split = self.by_run(x, -2)
        rows = split if x.dim() == 2 else split.transpose(0, 1).flatten(1, 2)
        y = batched_linear(rows, self.weight, self.bias if plain else None)
        if x.dim() == 3:
            y = y.unflatten(1, (x.shape[0], -1)).transpose(0, 1)
        y = y.reshape(*x.shape[:-1], -1)
        if plain:
            return y
        y = self.normalization(y)
        return y if self.bias is None else (self.by_run(y, -2) + self.bias.unsqueeze(1)).view(y.shape)


class RecurrentLayer(Batched):
    """K recurrent layers with their own loop over time: torch's kernels take one set of weights."""

    def forward(self: Any, x: Tensor) -> Tensor:
        """Map [K * n, T, in] to [K * n, T, width]."""
        if self.tape is not None or not self._native:
            return self._unroll(x)
        matrices = self.input.weight, self.recurrent.weight
        zeros = matrices[0].new_zeros(matrices[0].shape[:2])
        biases = (zeros if own is None else own for own in (self.input.bias, self.recurrent.bias))
        cell = CELLS[self.weights.mode]
        tensors = self.by_run(x), *matrices, *(bias.unsqueeze(1) for bias in biases)
        hidden: Any = Through.apply(cell, torch.is_grad_enabled(), *tensors)
        return hidden.flatten(1, 2).transpose(0, 1)


def _weight_norm_class() -> type[nn.Module]:
    """Return the class of torch's weight normalization, which has no public name."""
    module: Any = nn.Module()  # not a layer, which would draw random numbers for its weight
    module.weight = nn.Parameter(torch.ones(1, 1))
    parametrized: Any = nn.utils.parametrizations.weight_norm(module)
    return type(parametrized.parametrizations.weight[0])


# Modules with parameters or buffers of their own, and modules that mix samples.
BATCHED: dict[type[nn.Module], type[Any]] = {
    nn.Linear: Linear,
    nn.Conv2d: Conv2d,
    nn.BatchNorm1d: BatchNorm,
    nn.BatchNorm2d: BatchNorm,
    nn.LayerNorm: LayerNorm,
    nn.RMSNorm: RMSNorm,
    nn.GroupNorm: GroupNorm,
    nn.PReLU: PReLU,
    _weight_norm_class(): WeightNorm,
    residual.LearnedScale: LearnedScale,
    residual.Fixup: LearnedScale,
    residual.ScalarBias: ScalarBias,
    recurrent.Gates: Gates,
    recurrent.RecurrentLayer: RecurrentLayer,
}
# Modules that treat each sample alone, on any dimensions behind the first, without random numbers.
UNCHANGED: tuple[type[nn.Module], ...] = (
    nn.Identity, nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.utils.parametrize.ParametrizationList,
    nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign, nn.Hardtanh,
    nn.Tanh, nn.Sigmoid, activations.Erf,
    nn.RNN, nn.LSTM, nn.GRU,  # hold the weights of a RecurrentLayer; never called
    cells.Elman, cells.LSTM, cells.GRU, cells.Grouped,
    layers.Fork, shortcuts.ZeroPad, normalization.ChannelsLast, auxiliary.Auxiliary,
    residual.Identity, residual.PreActivation, residual.Scaled, residual.Highway,
    mlp.MLP, mlp.LinearModel, cnn.CNN, Recurrent,
)  # fmt: skip
