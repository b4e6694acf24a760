"""run.json: how a run ended, and what it found."""

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from gradlab.artifacts.atomic import replacing
from gradlab.errors import GradlabError

# What an earlier run in the same folder must not leave to this one; the other files are written over.
_ENDING = ("run.json", "error.log")
_STALE = (
    *_ENDING,
    "checkpoint.pt",
    "auxiliary.csv",
    "timesteps.csv",
    "neighbours.csv",
    "lr_range.csv",
    "critical_line.csv",
)


def clear_run(folder: Path, *, stale: bool) -> None:
    """Remove the half-written files of a run that was killed, and how an earlier one ended: a run has no run.json yet.

    Args:
        folder: The run's folder.
        stale: Whether the rest of what the earlier run left goes too, before a run from step 0.
    """
    halves = [path for name in ("run.json", "checkpoint.pt") for path in folder.glob(f".{name}.*")]
    for path in [*halves, *(folder / name for name in (_STALE if stale else _ENDING))]:
        path.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write strict JSON by rename; nan and infinities become the strings "nan", "inf" and "-inf"."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(to_plain(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def describe_error(error: Exception) -> str:
    """Return an error in one line: gradlab's own as they are, others with their type."""
    line = next(iter(str(error).splitlines()), "")
    return line if isinstance(error, GradlabError) else f"{type(error).__name__}: {line}"


def read_run(folder: Path) -> dict[str, Any] | None:
    """Return the run.json of a run's folder, None where there is none or it cannot be read."""
    try:
        return json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def to_plain(value: Any) -> Any:
    """Return a value as JSON has it: keys as texts, tuples as lists, nan and infinities as "nan", "inf" and "-inf"."""
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def root_cause(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the root cause among the verdicts of a run.json; None where nothing is wrong."""
    return next((item for item in record.get("verdicts") or () if item.get("root_cause")), None)
