"""Gradient clipping rules, called once a step between the backward pass and the update.

A rule takes ``(name, parameter)`` pairs and changes their ``.grad`` in place. Parameters without a gradient are passed
over. No rule waits for the device.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Gt
from torch.nn import Parameter

from gradlab.norms import total_norm

NamedParameters = Sequence[tuple[str, Parameter]]


def none(named_parameters: NamedParameters) -> None:
    """Leave every gradient as it is."""


def clip_norm(named_parameters: NamedParameters, *, max_norm: Annotated[float, Gt(0)]) -> None:
    """Shrink all gradients by one factor, so that their global L2 norm is at most ``max_norm``.

    Pascanu et al. 2013, algorithm 1, with the factor min(1, max_norm / (norm + 1e-6)) of ``clip_grad_norm_``: a norm of
    5 clipped to 1 becomes 0.9999998. Gradients whose squares overflow are clipped like any others. Where a gradient
    holds nan or inf, all are left alone: a run that diverges is to be seen, not mended.

    Args:
        named_parameters: Names and parameters, all on one device.
        max_norm: Largest norm let through.
    """
    gradients = [parameter.grad for _, parameter in named_parameters if parameter.grad is not None]
    norm = total_norm(gradients)
    factor = torch.where(torch.isfinite(norm), max_norm / (norm + 1e-6), 1.0).clamp(max=1.0)
    # Applied in two parts, because float32 would round a factor below 1e-38 to few digits or to zero. The second is a
    # power of two, so the gradients are still rounded once.
    power = torch.exp2((torch.log2(factor) / 2).ceil())
    for gradient in gradients:
        gradient.mul_(factor / power).mul_(power)


def clip_value(named_parameters: NamedParameters, *, max_value: Annotated[float, Gt(0)]) -> None:
    """Cut every gradient entry to [-max_value, max_value] (Mikolov 2012); this changes the gradient's direction.

    An infinite entry is cut too; nan stays nan.

    Args:
        named_parameters: Names and parameters.
        max_value: Largest magnitude let through.
    """
    for _, parameter in named_parameters:
        if parameter.grad is not None:
            parameter.grad.clamp_(-max_value, max_value)
