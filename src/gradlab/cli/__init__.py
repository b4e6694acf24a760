"""The commands `gradlab`, `gradlab-report` and `gradlab-explain`.

`main` and `run` import their modules when called or asked for: launchers' processes unpickle `gradlab.cli.run`, and
need no parser.
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradlab.cli.command import run as run


def main() -> None:
    """Run the command line `gradlab` in `sys.argv`; Ctrl-C while its modules are imported ends it in one line, too.

    Raises:
        SystemExit: As `gradlab.cli.command.main`.
    """
    try:
        from gradlab.cli import command
    except KeyboardInterrupt:
        from gradlab.borders import open_streams, print_line

        open_streams()
        print_line("gradlab: interrupted", to_stderr=True)
        sys.exit(130)
    command.main()


def __getattr__(name: str) -> Any:
    if name != "run":
        raise AttributeError(f"module 'gradlab.cli' has no attribute {name!r}")
    from importlib import import_module

    return import_module("gradlab.cli.command").run
