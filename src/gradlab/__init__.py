"""A wind tunnel for gradient flow: see where a deep network's gradients vanish or explode, and what helps.

Importing the package imports no torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradlab.watch import watch as watch

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name != "watch":
        raise AttributeError(f"module 'gradlab' has no attribute {name!r}")
    from gradlab.watch import watch

    globals()["watch"] = watch  # the import has put the module there
    return watch
