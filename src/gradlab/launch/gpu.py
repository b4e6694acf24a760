"""Whether runs side by side would share one GPU."""

from ctypes.util import find_library
from typing import Any

_DRIVERS = ("cuda", "nvcuda", "amdhip64")  # of a GPU, by platform


def shares_gpu(config: Any) -> bool:
    """Return whether a config's runs would be on a GPU.

    Torch is imported to be asked, which takes seconds, only where there is a driver.

    Args:
        config: A composed config.
    """
    if config.train.device == "cpu" or not any(map(find_library, _DRIVERS)):
        return False
    import torch

    return torch.cuda.is_available()
