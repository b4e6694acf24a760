"""Networks that gradlab did not make: anyone's own modules, and torchvision's."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gradlab.errors import closest, did_you_mean


def custom(*, target: str, arguments: nn.Module, each_step: bool = False) -> nn.Module:
    """Return a user's own network, built from its own arguments only.

    Args:
        target: Its class or function, such as ``my_models.Net``.
        arguments: What it returned.
        each_step: Whether the data wants an answer at every time step; `check_outputs` tries whether it gives one.

    Raises:
        ValueError: If that is no module.
    """
    if not isinstance(arguments, nn.Module):
        raise ValueError(f"target {target} must give a torch.nn.Module, got {type(arguments).__name__}")
    return arguments


def torchvision(
    *, input_shape: tuple[int, ...], outputs: int, name: str, arguments: Mapping[str, Any] | None = None
) -> nn.Module:
    """Return a classifier of torchvision without trained weights.

    Args:
        input_shape: Shape of one input; grey images are shown as three equal channels.
        outputs: Number of classes.
        name: Its name in ``torchvision.models``, such as ``resnet18``.
        arguments: Further arguments of it.

    Raises:
        ValueError: If there is no such network, or it takes no such argument.
    """
    from torchvision import models  # a second or two that other models need not wait for

    names = models.list_models(module=models)
    if name not in names:
        guess = did_you_mean(closest(name, names)) or f"; there are {', '.join(names)}"
        raise ValueError(f"name: torchvision has no classifier {name}{guess}")
    try:
        model = models.get_model(name, weights=None, num_classes=outputs, **(arguments or {}))
    except TypeError as error:
        raise ValueError(f"arguments: {error}") from error
    if input_shape[:1] == (1,):
        model.register_forward_pre_hook(lambda module, args: (args[0].expand(-1, 3, *args[0].shape[2:]),))
    return model


def check_outputs(model: nn.Module, inputs: Tensor, *, outputs: int, each_step: bool) -> None:
    """Try a network on two samples, and leave no trace of it but the weights that lazy layers now have.

    Args:
        model: The network.
        inputs: Inputs [n, ...]; two of them are used.
        outputs: Number of classes, or of values to predict.
        each_step: Whether it must answer at every time step of its input.

    Raises:
        ValueError: If it does not take such inputs, or gives another shape than [2, outputs], or [2, outputs, T].
    """
    inputs = inputs[:2]
    wanted = (len(inputs), outputs, *(inputs.shape[1:2] if each_step else ()))
    mode = model.training
    for training in (False, True):  # lazy layers have no buffers to put back before their first pass
        buffers = [buffer.clone() for buffer in model.buffers()] if training else []
        try:
            with torch.no_grad():
                found = model.train(training)(inputs)
        except Exception as error:  # a user's module may raise anything
            raise ValueError(f"cannot take inputs {list(inputs.shape)}: {type(error).__name__}: {error}") from error
        finally:
            model.train(mode)
            for buffer, old in zip(model.buffers(), buffers, strict=False):
                buffer.copy_(old)
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        if shape != wanted:
            raise ValueError(f"must answer inputs {list(inputs.shape)} with {list(wanted)}, gave {_plain(shape)}")


def _plain(shape: tuple[int, ...] | str) -> str:
    return shape if isinstance(shape, str) else str(list(shape))
