"""K networks of one shape as one network with stacked parameters, and back."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gradlab.errors import GradlabError
from gradlab.fused.modules import BATCHED, UNCHANGED, Batched, LastDimension
from gradlab.fused.recurrence import CELLS
from gradlab.nn.cells import Cell
from gradlab.nn.recurrent import Gates, RecurrentLayer


class UnfusableError(GradlabError):
    """These runs cannot be trained as one; the message gives the reason."""


def fuse(models: Sequence[nn.Module]) -> nn.Module:
    """Return one network that computes what K networks compute, each with its own parameters.

    Each module is a copy of the first network's whose class gets a batched version of ``forward`` mixed in, as
    ``torch.nn.utils.parametrize`` does with the classes of modules. A new object would lose the module's hooks and
    its place in the model's own attributes.

    Args:
        models: K networks of one shape, on one device; they are not changed.

    Returns:
        A network that maps [K * n, ...] to [K * n, ...], the samples of one run after those of another. Its modules and
        parameters have the names of those of each model; parameters and buffers are stacked, [K, ...].

    Raises:
        UnfusableError: A module has no batched version, or the networks differ in more than numbers.
    """
    fused = copy.deepcopy(models[0])
    modules = [dict(model.named_modules()) for model in models]
    for name, module in fused.named_modules():
        _stack_own(module, [named.get(name) for named in modules])
        if (batched := find_batched(module)) is not None:
            kind: Any = type(type(module).__name__, (batched, type(module)), {})
            module.__class__ = kind
            vars(module)["runs"] = len(models)
    for inner in _normalizations_of_cells(fused):
        inner.from_end = True
    return fused


def find_batched(module: nn.Module) -> type[Batched] | None:
    """Return the class to mix into a module's class; None for a module that works without one.

    Raises:
        UnfusableError: The module has no batched version and is not known to treat each sample alone.
    """
    kind = type(module)
    if nn.utils.parametrize.is_parametrized(module):
        kind = kind.__bases__[0]
    if isinstance(module, RecurrentLayer) and module._native and module.weights.mode not in CELLS:
        raise UnfusableError(f"torch's own kernel for an {module.weights.mode} is faster, one run at a time")
    if kind in BATCHED:
        return BATCHED[kind]
    if kind in UNCHANGED:
        return None
    raise UnfusableError(f"{kind.__name__} has no batched version")


def _state(model: nn.Module, *, recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
    """Yield name and tensor of each parameter and buffer."""
    yield from model.named_parameters(recurse=recurse, remove_duplicate=False)
    yield from model.named_buffers(recurse=recurse, remove_duplicate=False)


@torch.no_grad()
def write_back(fused: nn.Module, model: nn.Module, run: int) -> None:
    """Copy the parameters and buffers of one run from the fused network to a network of its own."""
    stacked = dict(_state(fused))
    for name, own in _state(model):
        own.copy_(stacked[name][run])


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
