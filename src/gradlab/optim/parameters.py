"""The parameters as an optimizer takes them."""

from typing import Any

from torch import nn


def parameter_groups(model: nn.Module, *, decay_biases: bool) -> list[Any]:
    """Return what an optimizer is called with: the parameters, or two groups of which the second is not decayed.

    Weights are tensors of two dimensions and more. The rest are biases, gains of normalizations and learned slopes, of
    which He et al. 2019 ("Bag of tricks", section 3.1) and He et al. 2015 ("Delving deep", section 2.1) advise not to
    decay any: decay would pull them to values that mean nothing.

    Args:
        model: The model.
        decay_biases: Whether weight decay acts on all parameters alike.
    """
    parameters = list(model.parameters())
    if decay_biases:
        return parameters
    weights = [parameter for parameter in parameters if parameter.dim() >= 2]
    others = [parameter for parameter in parameters if parameter.dim() < 2]
    groups = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
