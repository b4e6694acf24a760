"""Factories of config nodes, cached and copied for each run with the same node."""

import functools
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

_TRUSTED = ("gradlab.", "torch.nn.", "torch.optim.")  # modules whose partials need no guard
_MOST_FACTORIES = 1000  # of a few KiB each
_factories: dict[str, Any] = {}


def make_factory(node: DictConfig) -> functools.partial[Any]:
    """Return a node's target as a partial of what stands beside it.

    Runs of a sweep share most of their nodes, and Hydra takes milliseconds for each, so factories without state are
    cached.
    """
    text = repr(OmegaConf.to_container(node, resolve=True))
    if text in _factories:
        return _copy(_factories[text])
    # "all": optimizers put lists such as betas into checkpoints, where a ListConfig could not be loaded safely.
    factory = _unguarded(instantiate(node, _convert_="all", _partial_=True))
    if _is_lasting(factory):
        if len(_factories) == _MOST_FACTORIES:
            _factories.clear()
        _factories[text] = _copy(factory)
    return factory


def _is_lasting(value: Any) -> bool:
    """Whether a value has no state but lists and dictionaries, which `_copy` copies."""
    if isinstance(value, functools.partial):  # Python's own, not one that Hydra guards
        return type(value) is functools.partial and all(map(_is_lasting, (*value.args, *value.keywords.values())))
    if isinstance(value, dict):
        return all(map(_is_lasting, value.values()))
    if isinstance(value, list):
        return all(map(_is_lasting, value))
    return isinstance(value, bool | int | float | str | None)


def _copy(value: Any) -> Any:
    if isinstance(value, functools.partial):
        return functools.partial(value.func, *map(_copy, value.args), **_copy(value.keywords))
    if isinstance(value, dict):
        return {name: _copy(each) for name, each in value.items()}
    return list(map(_copy, value)) if isinstance(value, list) else value


def _unguarded(factory: Any) -> Any:
    """Return a partial of what gradlab or torch defines as Python's own, and so those among its arguments.

    Hydra's partials look at every call for what a config must not get at, for twice the time that a layer is made in.
    Such targets have been looked at when they were resolved; what they are called with does not come from a config.
    """
    if not isinstance(factory, functools.partial):
        return factory
    if not str(getattr(factory.func, "__module__", None)).startswith(_TRUSTED):
        return factory
    keywords = {name: _unguarded(value) for name, value in factory.keywords.items()}
    return functools.partial(factory.func, *factory.args, **keywords)
