"""Clipping rules with a threshold for each run, called as ``rule(named_parameters, gauge, **thresholds [K])``.

Each applies a rule of `gradlab.optim.clipping` to the stacked gradients [K, ...] of K runs, run by run.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gradlab.optim import clipping
from gradlab.optim.clipping import NamedParameters, gradients, owner, shrinkage
from gradlab.probe.gauge_batched import BatchedGauge

Rule = Callable[..., None]


def none(named_parameters: NamedParameters, gauge: BatchedGauge) -> None:
    """Leave every gradient as it is."""


def clip_norm(named_parameters: NamedParameters, gauge: BatchedGauge, *, max_norm: Tensor) -> None:
    """Shrink all gradients of a run by one factor, as `gradlab.optim.clipping.clip_norm` does."""
    grads = gradients(named_parameters)
    norms = total_norms(grads, gauge)
    factor = torch.where(torch.isfinite(norms), max_norm / (norms + 1e-6), 1.0).clamp(max=1.0)
    for grad in grads:
        scale(grad, factor)


def clip_value(named_parameters: NamedParameters, gauge: BatchedGauge, *, max_value: Tensor) -> None:
    """Cut every gradient entry to [-max_value, max_value] of its run."""
    for grad in gradients(named_parameters):
        limit = over(max_value, grad).to(grad.dtype)
        grad.clamp_(-limit, limit)


def clip_per_layer(named_parameters: NamedParameters, gauge: BatchedGauge, *, max_norm: Tensor) -> None:
    """Shrink each gradient tensor of each run by a factor of its own."""
    for grad in gradients(named_parameters):
        scale(grad, shrinkage(gauge.norm(grad), max_norm))


def clip_adaptive(named_parameters: NamedParameters, gauge: BatchedGauge, *, clip: Tensor, eps: Tensor) -> None:
    """Limit the gradient norm of each unit to ``clip`` times its weight norm, except in the last layer."""
    last = owner(named_parameters[-1][0]) if named_parameters else None
    for name, parameter in named_parameters:
        grad = parameter.grad
        if grad is None or grad.numel() == 0 or owner(name) == last:
            continue
        whole = parameter[0].squeeze().dim() <= 1  # a vector is one unit
        units = BatchedGauge(gauge.count if whole else gauge.count * parameter.shape[1])
        limits = (clip.view(-1, 1), eps.view(-1, 1))
        weight_norms, grad_norms = (units.norm(tensor).view(gauge.count, -1) for tensor in (parameter, grad))
        factor = shrinkage(grad_norms, limits[0] * torch.maximum(weight_norms, limits[1]))
        scale(grad if not whole else grad.view(gauge.count, -1), factor if not whole else factor[:, 0])


def normalize(named_parameters: NamedParameters, gauge: BatchedGauge) -> None:
    """Divide the gradients of each run by their global L2 norm."""
    grads = gradients(named_parameters)
    norms = total_norms(grads, gauge)
    factor = torch.where(torch.isfinite(norms) & (norms > 0), 1 / norms, 1.0)
    for grad in grads:
        scale(grad, factor)


def total_norms(tensors: Sequence[Tensor], gauge: BatchedGauge) -> Tensor:
    """Return the norm of all entries of each run, [K] in float64."""
    parts = torch.stack([gauge.norm(tensor) for tensor in tensors], 1)
    return gauge.norm(parts)


def over(numbers: Tensor, tensor: Tensor) -> Tensor:
    """Return numbers [K, ...] with further dimensions of length 1, so that they broadcast to a tensor [K, ...]."""
    return numbers.to(tensor.device).view(*numbers.shape, *(1 for _ in tensor.shape[numbers.dim() :]))


def scale(tensor: Tensor, factor: Tensor) -> None:
    """Multiply a stacked tensor in place by factors of its first dimensions, with the rounding of a single run."""
    power = torch.exp2((torch.log2(factor) / 2).ceil())  # in two parts: see gradlab.optim.clipping.scale
    kind = tensor.dtype if factor.dim() == 1 else factor.dtype
    tensor.mul_(over(factor / power, tensor).to(kind)).mul_(over(power, tensor).to(kind))


# The stateless rules of gradlab.optim.clipping and their batched versions.
RULES: dict[Any, Rule] = {
    clipping.none: none,
    clipping.clip_norm: clip_norm,
    clipping.clip_value: clip_value,
    clipping.clip_per_layer: clip_per_layer,
    clipping.clip_adaptive: clip_adaptive,
    clipping.normalize: normalize,
}
