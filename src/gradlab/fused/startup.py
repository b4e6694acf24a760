"""Exempt long-lived objects from garbage collection."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[Callable[[], None]]:
    """Give a function that takes what there is by then out of the collector's sight, until the block ends."""
    try:
        yield gc.freeze
    finally:
        gc.unfreeze()
