"""Parameter groups for an optimizer."""

from typing import Any

from torch import nn


def parameter_groups(model: nn.Module, *, decay_biases: bool) -> list[Any]:
    """Return an optimizer's first argument: all parameters, or two groups of which the second has no weight decay.

    Weights are tensors of at least two dimensions. The rest are biases, gains of normalizations and learned slopes.
    He et al. 2019 ("Bag of tricks", section 3.1) and He et al. 2015 ("Delving deep", section 2.1) advise against
    decaying them, because for them a value of 0 is not a neutral prior.

    Args:
        model: The model.
        decay_biases: Whether weight decay applies to all parameters.
    """
    parameters = list(model.parameters())
    if decay_biases:
        return parameters
    weights = [parameter for parameter in parameters if parameter.dim() >= 2]
    others = [parameter for parameter in parameters if parameter.dim() < 2]
    groups = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
