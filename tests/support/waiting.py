"""Waiting for what another process or thread does."""

import time
from collections.abc import Callable
from subprocess import Popen

PATIENCE = 600.0  # seconds until what is awaited counts as never to come: far longer than the busiest machine takes


def wait_until(condition: Callable[[], object], process: Popen | None = None) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: The process that was to bring it about has ended, or it is not going to hold.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None, f"the process ended with {process.returncode}"
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.02)
