"""Print the processor, the number of threads and the versions of the libraries, on which test results may depend."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

LIBRARIES = ("gradlab", "torch", "torchvision", "hydra-core", "omegaconf", "numpy", "pandas", "matplotlib", "pydantic")


def processor() -> str:
    """Return the processor's name, from Linux if available."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def installed(library: str) -> str:
    """Return the version of a library, or ``not installed``."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def main() -> None:
    """Print one line for each fact."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    facts = {
        "processor": f"{processor()}, {os.cpu_count()} cores, torch uses {torch.backends.cpu.get_cpu_capability()}",
        "GPU": device,
        "threads": str(torch.get_num_threads()),
        "system": platform.platform(),
        "Python": platform.python_version(),
    }
    for name, fact in (facts | {library: installed(library) for library in LIBRARIES}).items():
        print(f"{name:12} {fact}")


if __name__ == "__main__":
    main()
