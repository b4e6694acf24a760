"""The clipping rules with a threshold for each arm, called as ``rule(named_parameters, arms, **thresholds [K])``."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gradlab.optim import clipping
from gradlab.optim.clipping import NamedParameters, gradients, owner, shrinkage
from gradlab.probe.gauge_batched import BatchedGauge

Rule = Callable[..., None]


def none(named_parameters: NamedParameters, arms: BatchedGauge) -> None:
    """Leave every gradient as it is."""


def clip_norm(named_parameters: NamedParameters, arms: BatchedGauge, *, max_norm: Tensor) -> None:
    """Shrink each arm's gradients by one factor, as `gradlab.optim.clipping.clip_norm` does."""
    found = gradients(named_parameters)
    norms = total_norms(found, arms)
    factor = torch.where(torch.isfinite(norms), max_norm / (norms + 1e-6), 1.0).clamp(max=1.0)
    for gradient in found:
        scale(gradient, factor)


def clip_value(named_parameters: NamedParameters, arms: BatchedGauge, *, max_value: Tensor) -> None:
    """Cut every gradient entry to [-max_value, max_value] of its arm."""
    for gradient in gradients(named_parameters):
        limit = over(max_value, gradient).to(gradient.dtype)
        gradient.clamp_(-limit, limit)


def clip_per_layer(named_parameters: NamedParameters, arms: BatchedGauge, *, max_norm: Tensor) -> None:
    """Shrink each gradient tensor of each arm by a factor of its own."""
    for gradient in gradients(named_parameters):
        scale(gradient, shrinkage(arms.norm(gradient), max_norm))


def clip_adaptive(named_parameters: NamedParameters, arms: BatchedGauge, *, clip: Tensor, eps: Tensor) -> None:
    """Keep each unit's gradient norm at or below ``clip`` times its weights' norm, the last layer free."""
    last = owner(named_parameters[-1][0]) if named_parameters else None
    for name, parameter in named_parameters:
        gradient = parameter.grad
        if gradient is None or gradient.numel() == 0 or owner(name) == last:
            continue
        whole = parameter[0].squeeze().dim() <= 1
        units = BatchedGauge(arms.count if whole else arms.count * parameter.shape[1])
        limits = (clip.view(-1, 1), eps.view(-1, 1))
        weights, grads = (units.norm(tensor).view(arms.count, -1) for tensor in (parameter, gradient))
        factor = shrinkage(grads, limits[0] * torch.maximum(weights, limits[1]))
        scale(gradient if not whole else gradient.view(arms.count, -1), factor if not whole else factor[:, 0])


def normalize(named_parameters: NamedParameters, arms: BatchedGauge) -> None:
    """Divide each arm's gradients by their global L2 norm."""
    found = gradients(named_parameters)
    norms = total_norms(found, arms)
    factor = torch.where(torch.isfinite(norms) & (norms > 0), 1 / norms, 1.0)
    for gradient in found:
        scale(gradient, factor)


def total_norms(tensors: Sequence[Tensor], arms: BatchedGauge) -> Tensor:
    """Return the norm of all entries of each arm, [K] in float64."""
    parts = torch.stack([arms.norm(tensor) for tensor in tensors], 1)
    return arms.norm(parts)


def over(numbers: Tensor, tensor: Tensor) -> Tensor:
    """Return numbers [K, ...] with the dimensions that make them broadcast to a tensor [K, ...]."""
    return numbers.to(tensor.device).view(*numbers.shape, *(1 for _ in tensor.shape[numbers.dim() :]))


def scale(tensor: Tensor, factor: Tensor) -> None:
    """Multiply a stacked tensor in place by factors that its first dimensions have, rounded as a lone run's is."""
    power = torch.exp2((torch.log2(factor) / 2).ceil())  # in two parts: see gradlab.optim.clipping.scale
    kind = tensor.dtype if factor.dim() == 1 else factor.dtype
    tensor.mul_(over(factor / power, tensor).to(kind)).mul_(over(power, tensor).to(kind))


# A stateless rule of gradlab.optim.clipping and its twin.
RULES: dict[Any, Rule] = {
    clipping.none: none,
    clipping.clip_norm: clip_norm,
    clipping.clip_value: clip_value,
    clipping.clip_per_layer: clip_per_layer,
    clipping.clip_adaptive: clip_adaptive,
    clipping.normalize: normalize,
}
