"""Folder name of a run in a sweep."""

import hashlib
import re
from collections.abc import Iterable

from gradlab.config.hydra_compat import register_resolver

MAX_LENGTH = 80


def run_name(overrides: Iterable[str]) -> str:
    """Return a run's folder name: its sorted overrides, path-safe and cut at 80 characters, and 6 hex digits of a hash.

    Args:
        overrides: The run's own overrides, such as `["model.depth=50", "activation=relu"]`.

    Returns:
        For example `activation=relu,model.depth=50-6d9c1e`.
    """
    text = ",".join(sorted(overrides)) or "defaults"
    safe = re.sub(r"[^\w.,=+-]", "_", text, flags=re.ASCII)[:MAX_LENGTH]
    return f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


# Registered on import: the worker of a parallel launcher imports this module with the pickled task, and calls nothing.
register_resolver("run_name", run_name, replace=True)  # pyright: ignore[reportCallIssue]
