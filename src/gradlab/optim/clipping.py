"""Gradient clipping rules, called once a step between the backward pass and the update.

A rule takes ``(name, parameter)`` pairs and changes their ``.grad`` in place. It skips parameters without a gradient.
Gradients that are not finite stay so, because a run that diverges is a result to record. No rule synchronizes with the
device. Rules with memory of earlier steps are in ``clipping_history``.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor
from torch.nn import Parameter

from gradlab.norms import row_norms, total_norm

NamedParameters = Sequence[tuple[str, Parameter]]


def none(named_parameters: NamedParameters) -> None:
    """Do not clip."""


def clip_norm(named_parameters: NamedParameters, *, max_norm: Annotated[float, Gt(0)]) -> None:
    """Shrink all gradients by one factor, so that their global L2 norm is at most ``max_norm``.

    Pascanu et al. 2013, algorithm 1, with the factor min(1, max_norm / (norm + 1e-6)) of ``clip_grad_norm_``: a norm of
    5 clipped to 1 becomes 0.9999998. Gradients whose squares overflow are clipped like any others.

    Args:
        named_parameters: Names and parameters, all on one device.
        max_norm: Largest global norm after clipping.
    """
    grads = gradients(named_parameters)
    norm = total_norm(grads)
    scale(grads, torch.where(torch.isfinite(norm), max_norm / (norm + 1e-6), 1.0).clamp(max=1.0))


def clip_value(named_parameters: NamedParameters, *, max_value: Annotated[float, Gt(0)]) -> None:
    """Clamp every gradient entry to [-max_value, max_value] (Mikolov 2012); this changes the gradient's direction.

    Infinite entries are clamped too; nan stays nan.

    Args:
        named_parameters: Names and parameters.
        max_value: Largest magnitude of an entry after clipping.
    """
    for gradient in gradients(named_parameters):
        gradient.clamp_(-max_value, max_value)


def clip_per_layer(named_parameters: NamedParameters, *, max_norm: Annotated[float, Gt(0)]) -> None:
    """Shrink each gradient tensor by its own factor, so that its L2 norm is at most ``max_norm``.

    An exploding layer does not shrink the gradients of the others, but the direction of the whole gradient changes.

    Args:
        named_parameters: Names and parameters.
        max_norm: Largest norm of one tensor after clipping.
    """
    for gradient in gradients(named_parameters):
        norm = total_norm([gradient])
        scale([gradient], shrinkage(norm, max_norm))


def clip_adaptive(
    named_parameters: NamedParameters, *, clip: Annotated[float, Gt(0)], eps: Annotated[float, Gt(0)]
) -> None:
    """Keep each unit's gradient norm at or below ``clip`` times its weights' norm (AGC, Brock et al. 2021, eq. 3).

    A unit is a row of the weight, which feeds one output. A tensor with at most one dimension longer than 1, such as a
    bias or a gain, counts as one unit, as in the authors' code. The last layer, the module that owns the last
    parameter, is not clipped (section 4.1).

    Args:
        named_parameters: Names and parameters, in the model's order.
        clip: Largest ratio after clipping, lambda in the paper.
        eps: Lower bound on the norm of a unit's weights, so that weights that start at 0 can change.
    """
    last = owner(named_parameters[-1][0]) if named_parameters else None
    for name, parameter in named_parameters:
        gradient = parameter.grad
        if gradient is None or gradient.numel() == 0 or owner(name) == last:
            continue
        whole = parameter.squeeze().dim() <= 1
        weight_norms, grad_norms = (
            total_norm([tensor.detach()]) if whole else row_norms(tensor) for tensor in (parameter, gradient)
        )
        scale([gradient], shrinkage(grad_norms, clip * weight_norms.clamp(min=eps)))


def normalize(named_parameters: NamedParameters) -> None:
    """Divide all gradients by their global L2 norm, which keeps only their direction (Hazan et al. 2015).

    A gradient that is exactly zero stays zero.

    Args:
        named_parameters: Names and parameters, all on one device.
    """
    grads = gradients(named_parameters)
    norm = total_norm(grads)
    scale(grads, torch.where(torch.isfinite(norm) & (norm > 0), 1 / norm, 1.0))


def centralize(named_parameters: NamedParameters) -> None:
    """Subtract its mean from each unit's gradient (gradient centralization, Yong et al. 2020, eq. 1).

    A unit is a row of the weight; biases and other vectors are unchanged, as in the authors' code.

    Args:
        named_parameters: Names and parameters.
    """
    for gradient in gradients(named_parameters):
        if gradient.dim() > 1:
            wide = gradient.to(torch.float64)  # the sum of large float32 numbers may overflow float32
            gradient.copy_(wide - wide.mean(dim=tuple(range(1, wide.dim())), keepdim=True))


def gradients(named_parameters: NamedParameters) -> list[Tensor]:
    """Return the gradients of all parameters that have one."""
    return [parameter.grad for _, parameter in named_parameters if parameter.grad is not None]


def shrinkage(norm: Tensor, limit: Tensor | float) -> Tensor:
    """Return the factors, at most 1, that reduce ``norm`` to ``limit``; 1 where the norm is not finite.

    Args:
        norm: Norms, float64, any shape.
        limit: Largest norms after clipping; nan means no limit.
    """
    return torch.where(torch.isfinite(norm) & (norm > limit), limit / norm, 1.0)


def scale(tensors: Iterable[Tensor], factor: Tensor) -> None:
    """Multiply tensors in place by one factor, or by factors that broadcast to them.

    Args:
        tensors: Tensors of any floating dtype.
        factor: Positive, float64, on the tensors' device.
    """
    # The factor is applied in two parts, because in float32 a factor below 1e-38 would lose digits or become zero, and
    # one above 1e38 would become inf. The second part is a power of two, so the gradients are still rounded only once.
    power = torch.exp2((torch.log2(factor) / 2).ceil())
    for tensor in tensors:
        tensor.mul_(factor / power).mul_(power)


def owner(name: str) -> str:
    """Return the name of the module that a parameter belongs to, given the parameter's qualified name."""
    module, parametrized, _ = name.partition(".parametrizations.")
    return module if parametrized else name.rpartition(".")[0]
