"""Conversion of a torch activation to the scalar function `Phi` that theory integrates."""

from collections.abc import Hashable, Sequence
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from gradlab.compat.torch_private import is_bare
from gradlab.prediction.reasons import NoPredictionError
from gradlab.theory.gaussian import Array, Phi

_SAMPLES: Array = np.linspace(-4.1, 4.3, 64)  # numbers on which an activation is tried; 0, where kinks are, is not one
_BARE = frozenset(vars(nn.Module()))  # attributes of every module
_LIBRARIES = ("torch.", "gradlab.")  # packages whose classes do not change while the process runs
_cache: dict[Hashable, Phi] = {}


def phi_of(modules: Sequence[nn.Module]) -> Phi:
    """Return the activation of a network, with its slope by autograd.

    Activations of equal type and settings are checked only once. For classes of torch and gradlab the result, with its
    table of moments, is cached for later networks.

    Args:
        modules: The activation of each layer, at least one.

    Raises:
        NoPredictionError: If it is not one deterministic elementwise function, the same in every layer.
    """
    first, key = modules[0], _cache_key(modules[0])
    if key is None or any(_cache_key(module) != key for module in modules[1:]):
        return _checked(modules)
    if not type(first).__module__.startswith(_LIBRARIES):
        return _checked(modules[:1])
    if key not in _cache:
        _cache[key] = _checked(modules[:1])
    return _cache[key]


def _cache_key(module: nn.Module) -> Hashable | None:
    """Return type and settings of a module, or None if they do not determine its function (it has state or hooks)."""
    settings = {key: value for key, value in vars(module).items() if key not in _BARE}
    plain = all(isinstance(value, bool | int | float | str | None) for value in settings.values())
    return (type(module), repr(sorted(settings.items()))) if plain and is_bare(module) else None


def _checked(modules: Sequence[nn.Module]) -> Phi:
    first = modules[0]
    phi = _as_phi(first)
    values = _values(phi, first)
    if not np.array_equal(values, phi.value(_SAMPLES)):
        raise NoPredictionError(f"the activation {type(first).__name__} is random")
    for module in modules[1:]:
        if type(module) is not type(first) or not np.array_equal(_values(_as_phi(module), module), values):
            raise NoPredictionError("the activation is not the same in all layers")
    # an activation that mixes its entries, such as softmax, gives another value for a number on its own
    alone = [float(phi.value(_SAMPLES[i : i + 1])[0]) for i in (3, 30, 60)]
    if not np.allclose(alone, values[[3, 30, 60]], rtol=1e-9, atol=1e-12):
        raise NoPredictionError(f"the activation {type(first).__name__} is not elementwise")
    moments = phi.moments(np.array([0.1, 1.0, 10.0]))
    if not np.isfinite([moments.square, moments.slope_square]).all():
        raise NoPredictionError(f"the activation {type(first).__name__} has no second moment")
    return phi


def _as_phi(module: nn.Module) -> Phi:
    copy = deepcopy(module).to("cpu", torch.float64).requires_grad_(False)

    def value(z: Array) -> Array:
        with torch.no_grad():
            return copy(torch.tensor(z)).numpy()

    def slope(z: Array) -> Array:
        with torch.enable_grad():
            x = torch.tensor(z).requires_grad_()
            y: Tensor = copy(x * 1.0)  # not x itself, a leaf that an in-place activation could not modify
            return torch.autograd.grad(y.sum(), x)[0].numpy()

    return Phi(value, slope)


def _values(phi: Phi, module: nn.Module) -> Array:
    try:
        values = phi.value(_SAMPLES)
        phi.slope(_SAMPLES)
    except Exception as error:  # a user's module may raise anything
        raise NoPredictionError(f"the activation {type(module).__name__} fails on a vector of numbers") from error
    if values.shape != _SAMPLES.shape or not np.isfinite(values).all():
        raise NoPredictionError(f"the activation {type(module).__name__} does not return one finite number per input")
    return values
