"""Exempt long-lived objects from garbage collection (`gc.freeze`)."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[Callable[[], None]]:
    """Yield a function that exempts all objects that exist when it is called, until the block ends.

    A batch of runs keeps many small objects, which every full collection would otherwise visit again.
    """
    try:
        yield gc.freeze
    finally:
        gc.unfreeze()
