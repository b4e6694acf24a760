"""The folder name of one run of a sweep."""

import hashlib
import re
from collections.abc import Iterable

from gradlab.config.hydra_compat import register_resolver

MAX_LENGTH = 80


def run_name(overrides: Iterable[str]) -> str:
    """Name a run after its overrides: sorted, safe in a path, cut at 80 characters, made unique by a hash.

    Args:
        overrides: The run's own overrides, such as `["model.depth=50", "activation=relu"]`.

    Returns:
        For example `activation=relu,model.depth=50-6d9c1e`.
    """
    text = ",".join(sorted(overrides)) or "defaults"
    safe = re.sub(r"[^\w.,=+-]", "_", text, flags=re.ASCII)[:MAX_LENGTH]
    return f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


# On import, because a parallel launcher's worker imports this (through the pickled task) and calls nothing else.
register_resolver("run_name", run_name, replace=True)  # pyright: ignore[reportCallIssue]
