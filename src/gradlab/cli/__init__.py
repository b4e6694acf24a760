"""The commands `gradlab`, `gradlab-report` and `gradlab-explain`.

`main` and `run` are imported when asked for: launchers' processes unpickle `gradlab.cli.run`, and need no parser.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradlab.cli.command import main as main
    from gradlab.cli.command import run as run


def __getattr__(name: str) -> Any:
    if name not in ("main", "run"):
        raise AttributeError(f"module 'gradlab.cli' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("gradlab.cli.command"), name)
