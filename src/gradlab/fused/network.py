"""K networks of one shape as one, and back."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gradlab.errors import GradlabError
from gradlab.fused.modules import TWINS, UNCHANGED, LastDimension, Twin
from gradlab.nn.cells import Cell
from gradlab.nn.recurrent import Gates


class UnfusableError(GradlabError):
    """These runs cannot be trained as one; the message says what stands against it."""


def fuse(models: Sequence[nn.Module]) -> nn.Module:
    """Return one network that does what K networks do, each with its own parameters.

    Args:
        models: K networks of one shape, on one device; they are left as they are.

    Returns:
        A network that maps [K * n, ...] to [K * n, ...], arm by arm. Its modules and parameters have the names of each
        model's own; parameters and buffers are stacked, [K, ...].

    Raises:
        UnfusableError: A module has no twin, or the networks differ in more than numbers.
    """
    fused = copy.deepcopy(models[0])
    modules = [dict(model.named_modules()) for model in models]
    for name, module in fused.named_modules():
        others = [named.get(name) for named in modules]
        _stack_own(module, others)
        if (twin := find_twin(module)) is not None:
            kind: Any = type(type(module).__name__, (twin, type(module)), {})
            module.__class__ = kind
            module.__dict__["arms"] = len(models)
    for inner in _normalizations_of_cells(fused):
        inner.from_end = True
    return fused


def find_twin(module: nn.Module) -> type[Twin] | None:
    """Return what is to be mixed into a module's class; None where the module can stay as it is.

    Raises:
        UnfusableError: It is of a kind that is not known to work sample by sample.
    """
    kind = type(module)
    if nn.utils.parametrize.is_parametrized(module):
        kind = kind.__bases__[0]
    if kind in TWINS:
        return TWINS[kind]
    if kind in UNCHANGED:
        return None
    raise UnfusableError(f"{kind.__name__} has no fused twin")


def _state(model: nn.Module, *, recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
    """Yield name and tensor of each parameter and buffer."""
    yield from model.named_parameters(recurse=recurse, remove_duplicate=False)
    yield from model.named_buffers(recurse=recurse, remove_duplicate=False)


@torch.no_grad()
def write_back(fused: nn.Module, model: nn.Module, arm: int) -> None:
    """Give a model of its own what the fused one has learned for its arm."""
    stacked = dict(_state(fused))
    for name, own in _state(model):
        own.copy_(stacked[name][arm])


def _stack_own(module: nn.Module, others: Sequence[nn.Module | None]) -> None:
    """Stack the parameters and buffers that a module itself owns, not those of its children."""
    owned = [{} if other is None else dict(_state(other, recurse=False)) for other in others]
    for name, own in list(_state(module, recurse=False)):
        parts = [tensors.get(name) for tensors in owned]
        if any(part is None or part.shape != own.shape or part.dtype != own.dtype for part in parts):
            raise UnfusableError("the networks differ in shape")
        stacked = torch.stack([part.detach() for part in parts if part is not None])
        setattr(module, name, nn.Parameter(stacked, own.requires_grad) if isinstance(own, nn.Parameter) else stacked)


def _normalizations_of_cells(model: nn.Module) -> Iterator[LastDimension]:
    for module in model.modules():
        if isinstance(module, Cell | Gates):
            yield from (inner for inner in module.modules() if isinstance(inner, LastDimension))
