"""Restore what a command changes in its process: a Python session continues after it."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import hydra.version
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig


@contextmanager
def restored(words: Sequence[str]) -> Iterator[None]:
    """Run a block as the process of a command line, and leave the process as it was before.

    Restored are `sys.argv`, `sys.path`, the environment, Hydra's global state, the handlers and levels of `logging`,
    and torch's number of threads and random generator on the CPU.

    Args:
        words: The command line, the command first.
    """
    with ExitStack() as stack:
        stack.enter_context(patch.object(sys, "argv", list(words)))
        stack.enter_context(patch.object(sys, "path", list(sys.path)))
        # Hydra prints an error in many lines, unless this is set: then it raises it.
        stack.enter_context(patch.dict(os.environ, {"HYDRA_FULL_ERROR": "1"}))
        stack.enter_context(_hydra())
        stack.enter_context(_logging())
        stack.enter_context(_torch())
        yield


@contextmanager
def _hydra() -> Iterator[None]:
    """Give the block a Hydra that is not initialized yet, whatever the session has done with Hydra."""
    version_base = getattr(hydra.version, "VersionBase", None)  # Hydra 1.4 has none
    kinds = [GlobalHydra, HydraConfig, *([version_base] if version_base else [])]
    before = {kind: vars(kind()).copy() for kind in kinds}
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None
    try:
        yield
    finally:
        for kind, attributes in before.items():
            vars(kind()).update(attributes)


@contextmanager
def _logging() -> Iterator[None]:
    """Hide the session's handlers from `logging.config.dictConfig`, which closes all that it finds."""
    loggers = [logging.getLogger(), *(each for each in _loggers() if isinstance(each, logging.Logger))]
    before = [(each, each.handlers[:], each.level, each.disabled, each.propagate) for each in loggers]
    known = logging._handlerList[:]  # pyright: ignore[reportAttributeAccessIssue]
    named = dict(logging._handlers)  # pyright: ignore[reportAttributeAccessIssue]
    logging._handlerList.clear()  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        for logger, handlers, level, disabled, propagate in before:
            logger.handlers[:] = handlers
            logger.setLevel(level)
            logger.disabled, logger.propagate = disabled, propagate
        logging._handlerList[:] = known  # pyright: ignore[reportAttributeAccessIssue]
        logging._handlers.clear()  # pyright: ignore[reportAttributeAccessIssue]
        logging._handlers.update(named)  # pyright: ignore[reportAttributeAccessIssue]


def _loggers() -> list[object]:
    return list(logging.root.manager.loggerDict.values())


@contextmanager
def _torch() -> Iterator[None]:
    """Keep torch's threads and random numbers, if the session has imported torch."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)
