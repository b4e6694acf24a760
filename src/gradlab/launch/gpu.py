"""Check whether concurrent runs would share one GPU."""

from ctypes.util import find_library
from typing import Any

_DRIVERS = ("cuda", "nvcuda", "amdhip64")  # GPU driver libraries on Linux, Windows and AMD systems


def shares_gpu(config: Any) -> bool:
    """Whether a config's runs would use a GPU.

    torch takes seconds to import, so it is imported only if there is a GPU driver.

    Args:
        config: A composed config.
    """
    if config.train.device == "cpu" or not any(map(find_library, _DRIVERS)):
        return False
    import torch

    return torch.cuda.is_available()
