"""The private names of torch that gradlab uses, each behind a function with a public meaning.

No other module uses one. If torch has renamed one, its fallback is used, which is correct but slower.
tests/compat/test_torch_private.py fails for each missing name.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_TABLES = ("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks")


def _assume_kept() -> bool:
    return True


def _assume_written(tensor: Tensor) -> object:
    return object()


_autograd: Any = getattr(getattr(torch, "_C", None), "_autograd", None)

keeps_graph: Callable[[], bool] = getattr(_autograd, "_get_current_graph_task_keep_graph", _assume_kept)
"""Return whether the backward pass in progress keeps its graph, so that another may follow. The fallback returns True,
because a gradient that is held until the end of the step is complete in either case."""

count_writes: Callable[[Tensor], object] = attrgetter("_version") if hasattr(Tensor, "_version") else _assume_written
"""Return a value that changes when a tensor is modified in place; the fallback's changes with every call. Writes
through ``.data`` are not counted."""


def own_parameters(module: nn.Module) -> Mapping[str, nn.Parameter | None]:
    """Return the live table of a module's own parameters by name, four times as fast to read as the attribute.

    Empty if torch keeps no such table; the caller then reads the attribute.
    """
    return vars(module).get("_parameters", {})


def is_bare(module: nn.Module) -> bool:
    """Return whether a module has no parameter, buffer, submodule or forward hook; False if torch renamed these."""
    return not any(getattr(module, name, True) for name in _TABLES)


def is_compiled(module: nn.Module) -> bool:
    """Return whether a module was made by ``torch.compile``: calling it runs no hooks of the module it wraps."""
    return hasattr(module, "_orig_mod")


def scale_rows(direction: Tensor, length: Tensor) -> Tensor:
    """Return the rows of ``direction`` [n, ...] scaled to the norms ``length`` [n, 1, ...], as weight_norm does."""
    kernel = getattr(torch, "_weight_norm", None)
    if kernel is not None:
        return kernel(direction, length, 0)
    return direction * (length / torch.linalg.vector_norm(direction.flatten(1), dim=1).view_as(length))


def mark_as_stepped(optimizer: Optimizer) -> None:
    """Set the flag by which a schedule detects that the optimizer stepped first; without it the schedule warns."""
    vars(optimizer)["_opt_called"] = True


def avoid_compiler_import() -> None:
    """Keep torch from importing its compiler when the first optimizer is made: a third of a process's start-up time.

    Torch excludes some methods of Optimizer from compilation by a wrapper, whose first call imports the compiler.
    This stores the plain method where torch caches the wrapped one. If torch caches it elsewhere, the compiler is
    imported as usual.
    """
    for method in vars(Optimizer).values():
        plain = getattr(method, "__wrapped__", None)
        if plain is not None and getattr(method, "__module__", None) == Optimizer.__module__:
            vars(plain).setdefault("__dynamo_disable", plain)
