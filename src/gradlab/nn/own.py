"""Networks from outside gradlab: a user's own modules, and torchvision's."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gradlab.errors import closest, did_you_mean


def custom(*, target: str, arguments: nn.Module, each_step: bool = False) -> nn.Module:
    """Return a user's own network, which was built from ``model.arguments`` only.

    Args:
        target: Class or function that built the network, such as ``my_models.Net``.
        arguments: The network, as ``target`` returned it.
        each_step: Whether the data has a target at every time step; `check_outputs` checks the outputs' shape.

    Raises:
        ValueError: If ``target`` did not return a module.
    """
    if not isinstance(arguments, nn.Module):
        raise ValueError(f"target {target} must return a torch.nn.Module, got {type(arguments).__name__}")
    return arguments


def torchvision(
    *, input_shape: tuple[int, ...], outputs: int, name: str, arguments: Mapping[str, Any] | None = None
) -> nn.Module:
    """Return an untrained torchvision classifier.

    Args:
        input_shape: Shape of one input; a grey channel is repeated three times.
        outputs: Number of classes.
        name: Name in ``torchvision.models``, such as ``resnet18``.
        arguments: Further arguments of the network.

    Raises:
        ValueError: If torchvision has no such network, or the network takes no such argument.
    """
    from torchvision import models  # here, because the import takes a second or two and other models do not need it

    names = models.list_models(module=models)
    if name not in names:
        suggestion = did_you_mean(closest(name, names)) or f"; there are {', '.join(names)}"
        raise ValueError(f"name: torchvision has no classifier {name}{suggestion}")
    try:
        model = models.get_model(name, weights=None, num_classes=outputs, **(arguments or {}))
    except TypeError as error:
        raise ValueError(f"arguments: {error}") from error
    if input_shape[:1] == (1,):
        model.register_forward_pre_hook(lambda module, args: (args[0].expand(-1, 3, *args[0].shape[2:]),))
    return model


def check_outputs(model: nn.Module, inputs: Tensor, *, outputs: int, each_step: bool) -> None:
    """Check the shape of a network's outputs on two samples, and materialize its lazy layers.

    Mode and buffers are restored afterwards.

    Args:
        model: The network.
        inputs: Inputs [n, ...]; two of them are used.
        outputs: Number of classes, or of values to predict.
        each_step: Whether the network must return outputs for every time step of its input.

    Raises:
        ValueError: If the network fails on the inputs, or its outputs are not of shape [2, outputs] or, with
            ``each_step``, [2, outputs, T].
    """
    inputs = inputs[:2]
    expected = (len(inputs), outputs, *(inputs.shape[1:2] if each_step else ()))
    mode = model.training
    for training in (False, True):  # evaluation first: lazy layers have no buffers to save before their first pass
        buffers = [buffer.clone() for buffer in model.buffers()] if training else []
        try:
            with torch.no_grad():
                result = model.train(training)(inputs)
        except Exception as error:  # a user's module may raise anything
            raise ValueError(f"cannot take inputs {list(inputs.shape)}: {type(error).__name__}: {error}") from error
        finally:
            model.train(mode)
            for buffer, old in zip(model.buffers(), buffers, strict=False):
                buffer.copy_(old)
        shape = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
        if shape != expected:
            raise ValueError(f"must map inputs {list(inputs.shape)} to {list(expected)}, returned {_plain(shape)}")


def _plain(shape: tuple[int, ...] | str) -> str:
    return shape if isinstance(shape, str) else str(list(shape))
