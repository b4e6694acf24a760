"""Gradient clipping rules, called once a step between the backward pass and the update.

A rule takes ``(name, parameter)`` pairs and changes their ``.grad`` in place. Parameters without a gradient are passed
over, and what is not finite is left to be seen: a run that diverges is a result, not something to mend. No rule waits
for the device. Rules that remember earlier steps are in ``clipping_history``.
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
    """Leave every gradient as it is."""


def clip_norm(named_parameters: NamedParameters, *, max_norm: Annotated[float, Gt(0)]) -> None:
    """Shrink all gradients by one factor, so that their global L2 norm is at most ``max_norm``.

    Pascanu et al. 2013, algorithm 1, with the factor min(1, max_norm / (norm + 1e-6)) of ``clip_grad_norm_``: a norm of
    5 clipped to 1 becomes 0.9999998. Gradients whose squares overflow are clipped like any others.

    Args:
        named_parameters: Names and parameters, all on one device.
        max_norm: Largest norm let through.
    """
    found = gradients(named_parameters)
    norm = total_norm(found)
    scale(found, torch.where(torch.isfinite(norm), max_norm / (norm + 1e-6), 1.0).clamp(max=1.0))


def clip_value(named_parameters: NamedParameters, *, max_value: Annotated[float, Gt(0)]) -> None:
    """Cut every gradient entry to [-max_value, max_value] (Mikolov 2012); this changes the gradient's direction.

    An infinite entry is cut too; nan stays nan.

    Args:
        named_parameters: Names and parameters.
        max_value: Largest magnitude let through.
    """
    for gradient in gradients(named_parameters):
        gradient.clamp_(-max_value, max_value)


def clip_per_layer(named_parameters: NamedParameters, *, max_norm: Annotated[float, Gt(0)]) -> None:
    """Shrink each gradient tensor by a factor of its own, so that its L2 norm is at most ``max_norm``.

    One exploding layer then takes nothing from the others; the direction of the whole gradient changes.

    Args:
        named_parameters: Names and parameters.
        max_norm: Largest norm of one tensor let through.
    """
    for gradient in gradients(named_parameters):
        norm = total_norm([gradient])
        scale([gradient], shrinkage(norm, max_norm))


def clip_adaptive(
    named_parameters: NamedParameters, *, clip: Annotated[float, Gt(0)], eps: Annotated[float, Gt(0)]
) -> None:
    """Keep each unit's gradient norm at or below ``clip`` times its weights' norm (AGC, Brock et al. 2021, eq. 3).

    A unit is a row of the weight: what feeds one output. A tensor with at most one dimension longer than 1, as biases
    and gains are, counts as one unit, as in the authors' code. The last layer is left alone (section 4.1): the module
    that owns the last of the parameters.

    Args:
        named_parameters: Names and parameters, in the model's order.
        clip: Largest ratio let through, lambda in the paper.
        eps: Least norm that a unit's weights count with, so that weights that start at 0 can leave it.
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
    """Divide all gradients by their global L2 norm, so that only their direction counts (Hazan et al. 2015).

    A gradient that is exactly zero stays zero.

    Args:
        named_parameters: Names and parameters, all on one device.
    """
    found = gradients(named_parameters)
    norm = total_norm(found)
    scale(found, torch.where(torch.isfinite(norm) & (norm > 0), 1 / norm, 1.0))


def centralize(named_parameters: NamedParameters) -> None:
    """Subtract from each unit's gradient its mean (gradient centralization, Yong et al. 2020, eq. 1).

    A unit is a row of the weight; biases and other vectors are left alone, as in the authors' code.

    Args:
        named_parameters: Names and parameters.
    """
    for gradient in gradients(named_parameters):
        if gradient.dim() > 1:
            wide = gradient.to(torch.float64)  # the sum of large float32 numbers is not one
            gradient.copy_(wide - wide.mean(dim=tuple(range(1, wide.dim())), keepdim=True))


def gradients(named_parameters: NamedParameters) -> list[Tensor]:
    """Return the gradients that there are."""
    return [parameter.grad for _, parameter in named_parameters if parameter.grad is not None]


def shrinkage(norm: Tensor, limit: Tensor | float) -> Tensor:
    """Return the factors, at most 1, that take ``norm`` down to ``limit``; 1 where the norm is not finite.

    Args:
        norm: Norms, float64, any shape.
        limit: Largest norms let through; one that is nan lets everything through.
    """
    return torch.where(torch.isfinite(norm) & (norm > limit), limit / norm, 1.0)


def scale(tensors: Iterable[Tensor], factor: Tensor) -> None:
    """Multiply tensors in place by one factor, or by factors that broadcast to them.

    Args:
        tensors: Tensors of any floating dtype.
        factor: Positive, float64, on the tensors' device.
    """
    # In two parts, because float32 would round a factor below 1e-38 to few digits or to zero, and one above 1e38 to
    # inf. The second is a power of two, so the gradients are still rounded once.
    power = torch.exp2((torch.log2(factor) / 2).ceil())
    for tensor in tensors:
        tensor.mul_(factor / power).mul_(power)


def owner(name: str) -> str:
    """Return the name of the module that a parameter belongs to, given the parameter's qualified name."""
    module, parametrized, _ = name.partition(".parametrizations.")
    return module if parametrized else name.rpartition(".")[0]
