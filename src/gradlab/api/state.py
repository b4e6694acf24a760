"""Restore the global state of a Python session after a command has run in it."""

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
    """Run a block with the global state of a command line, and restore the session's state afterwards.

    Restored are `sys.argv`, `sys.path`, the environment, Hydra's global state, the handlers and levels of `logging`,
    and torch's number of threads and random generator on the CPU.

    Args:
        words: The command line, starting with the command.
    """
    with ExitStack() as stack:
        stack.enter_context(patch.object(sys, "argv", list(words)))
        stack.enter_context(patch.object(sys, "path", list(sys.path)))
        # With this Hydra raises an error instead of printing it in many lines.
        stack.enter_context(patch.dict(os.environ, {"HYDRA_FULL_ERROR": "1"}))
        stack.enter_context(_hydra())
        stack.enter_context(_logging())
        stack.enter_context(_torch())
        yield


@contextmanager
def _hydra() -> Iterator[None]:
    """Run the block with uninitialized Hydra singletons, and restore those of the session."""
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
    """Hide the session's handlers from `logging.config.dictConfig`, which closes all registered handlers."""
    loggers = [logging.getLogger(), *(item for item in _loggers() if isinstance(item, logging.Logger))]
    before = [(item, item.handlers[:], item.level, item.disabled, item.propagate) for item in loggers]
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
    """Restore torch's number of threads and CPU random state, if the session has imported torch."""
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
