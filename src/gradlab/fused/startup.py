"""What makes the start of a process, and many long-lived objects in it, cheaper."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch.optim import Optimizer


def spare_compiler() -> None:
    """Keep torch from importing its compiler with the first optimizer that is made: a third of a process's start.

    Torch marks these methods as not to be compiled, and imports the compiler to do so, on the first call of one. Here
    they are called plainly. A fused step calls no optimizer's own ``step``, which would import it too.
    """
    for method in vars(Optimizer).values():
        plain = getattr(method, "__wrapped__", None)
        if plain is not None and getattr(method, "__module__", None) == Optimizer.__module__:
            vars(plain).setdefault("__dynamo_disable", plain)


@contextmanager
def uncollected() -> Iterator[Callable[[], None]]:
    """Give a function that takes what there is by then out of the collector's sight, until the block ends."""
    try:
        yield gc.freeze
    finally:
        gc.unfreeze()
