"""Which extra of gradlab installs a library that is not there."""

import re
from importlib.metadata import requires


def install_hint(module: str) -> str | None:
    """Say how to install a library that belongs to one of gradlab's extras.

    Args:
        module: Name of the top-level module that could not be imported.

    Returns:
        A sentence without a full stop, or None for a library of no extra.
    """
    for requirement in requires("gradlab") or ():
        found = re.match(r"([\w-]+).*;.*\bextra == ['\"]([\w-]+)['\"]", requirement)
        if found and found[1].replace("-", "_") == module:
            extra = found[2]
            return f"{found[1]} is not installed; uv sync --extra {extra} or pip install 'gradlab[{extra}]' installs it"
    return None
