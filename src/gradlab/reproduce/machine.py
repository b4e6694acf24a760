"""Description of the machine: processor, memory, versions."""

import datetime
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from gradlab.artifacts.record import read_run

_GIB = 2**30


def describe_machine(runs: Iterable[Path]) -> dict[str, str]:
    """Return the date, and the machine and versions from the first run that recorded them.

    Args:
        runs: Folders of the runs.

    Returns:
        ``date``, and ``machine`` and ``versions`` if a run has an environment.
    """
    facts = {"date": datetime.datetime.now(datetime.UTC).date().isoformat()}
    for run in runs:
        if environment := (read_run(run) or {}).get("environment"):
            threads = f"{environment['threads']} thread{'s' if environment['threads'] > 1 else ''}"
            facts["machine"] = f"{processor()}, {os.cpu_count()} cores, {threads} on {environment['device']}"
            facts["versions"] = ", ".join(f"{name} {environment[name]}" for name in ("gradlab", "torch", "python"))
            break
    return facts


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def free_memory() -> float:
    """Return the free memory in GiB; inf if the system does not report it."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB
    except (AttributeError, OSError, ValueError):
        return float("inf")
