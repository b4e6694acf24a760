"""run.json as one typed record, with one reader and one writer."""

import json
from pathlib import Path
from typing import Any, Required, TypedDict

from gradlab.artifacts.atomic import write_json
from gradlab.artifacts.environment import Environment
from gradlab.artifacts.shapes import NUMBER, misfit
from gradlab.diagnosis.verdict import VerdictRecord
from gradlab.errors import GradlabError

FILE = "run.json"
UNREADABLE = "it left no readable run.json"
UNFINISHED = "unfinished"  # status of a run without a readable run.json, which is running or was killed

# Written at the end of a run; the next run in the same folder removes them at its start.
_ENDING = (FILE, "error.log")
# Files that not every run writes, so that those of an earlier run could be left over; all others are overwritten.
_STALE = (
    *_ENDING,
    "checkpoint.pt",
    "auxiliary.csv",
    "timesteps.csv",
    "neighbours.csv",
    "lr_range.csv",
    "critical_line.csv",
)


class RangeRecord(TypedDict):
    """Result of a range test.

    Attributes:
        suggestion: The learning rate to use; None if the loss did not fall.
        lowest_at: The learning rate of the lowest smoothed loss; None if the loss did not fall.
        blew_up_at: The learning rate at which the test ended early; None if it did not.
        steps: Number of optimizer steps.
    """

    suggestion: float | None
    lowest_at: float | None
    blew_up_at: float | None
    steps: int


class RunRecord(TypedDict, total=False):
    """Content of run.json, with its keys in the order in which they are first set.

    Only ``status`` is in every file; a failed run has the keys that were set before it failed. JSON has no nan and no
    infinities, so a file that has been read holds them as the strings "nan", "inf" and "-inf".

    Attributes:
        status: ``completed``, ``diverged``, ``interrupted`` or ``failed``.
        fingerprint: Hash of the config and the code; None for a run of `gradlab.watch`.
        seed: Seed of all random numbers; None for a run of `gradlab.watch`.
        warnings: Warnings, one line each.
        lr_range: Result of the range test, if there was one.
        environment: Versions, device, threads and state of the code.
        model: Class of the model, for a run of `gradlab.watch`.
        steps: Number of optimizer steps.
        seconds: Duration of the run.
        hidden_layers: Number of layers on the main path without the head; None if unknown.
        growth: For each growth of the network, the step, and the depths and evaluation losses before and after.
        metrics: Final losses and accuracies, gradient ratios and slopes; None if not measured.
        verdicts: Verdicts on the initial gradient flow, on other faults and on the final gradient flow.
        theory: Prediction and measurement at step 0, or the reason why there is no prediction.
        chance: Loss and accuracy of the best constant prediction.
        fused: Number of runs that were trained together.
        figures: True once the figures are drawn.
        gate: Why the run does not pass its gate, one sentence for each reason.
        error: The error of a failed run, in one line.
    """

    status: Required[str]
    fingerprint: str | None
    seed: int | None
    warnings: list[str]
    lr_range: RangeRecord
    environment: Environment
    model: str
    steps: int
    seconds: float
    hidden_layers: int | None
    growth: list[dict[str, Any]]
    metrics: dict[str, Any]
    verdicts: list[VerdictRecord]
    theory: dict[str, Any] | str | None
    chance: dict[str, float | None]
    fused: int
    figures: bool
    gate: list[str]
    error: str


_WORDS = [str]
_VERDICT = {
    "when!": str,
    "name!": str,
    "sentence!": str,
    "step": int,
    "over": str,
    "layers": [int],
    "column": str,
    "value": (NUMBER, None),
    "threshold": (NUMBER, None),
    "source": str,
    "root_cause": bool,
    "remedies": [{"overrides!": _WORDS, "reason!": str, "source!": str}],
}
# What readers of run.json rely on. Files of older versions lack keys, and every value may be null.
_SHAPE = {
    "status": str,
    "fingerprint": (str, None),
    "seed": (int, None),
    "warnings": (_WORDS, None),
    "lr_range": ({"*": (NUMBER, None)}, None),
    "environment": ({"*": (str, int, bool, None)}, None),
    "model": (str, None),
    "steps": (int, None),
    "seconds": (NUMBER, None),
    "hidden_layers": (int, None),
    "growth": ([{"step!": int, "depth_before!": int, "*": (NUMBER, None)}], None),
    "metrics": ({"*": (NUMBER, None)}, None),
    "verdicts": ([_VERDICT], None),
    "theory": ({}, str, None),
    "chance": ({"*": (NUMBER, None)}, None),
    "fused": (int, None),
    "figures": (bool, None),
    "gate": (_WORDS, None),
    "error": (str, None),
}


def write_run(folder: Path, record: RunRecord) -> None:
    """Write run.json into a run's folder, by rename."""
    write_json(folder / FILE, record)


def load_run(folder: Path) -> RunRecord:
    """Return the content of a run's run.json; without a status in it, the status is `UNFINISHED`.

    Raises:
        OSError: There is no run.json, or it cannot be read.
        ValueError: The file is not a JSON object, or a value in it is of another type than its readers rely on.
    """
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"{FILE} is broken: it is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{FILE} is broken: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{FILE} is broken: it is not an object")
    if problem := misfit(content, _SHAPE):
        raise ValueError(f"{FILE} is broken: {problem}")
    content.setdefault("status", UNFINISHED)
    return content  # pyright: ignore[reportReturnType]


def read_run(folder: Path) -> RunRecord | None:
    """Return the content of a run's run.json; None if it is missing or cannot be read."""
    try:
        return load_run(folder)
    except (OSError, ValueError):
        return None


def unreadable(folder: Path) -> str | None:
    """Return why a run's run.json cannot be read; None if it can."""
    try:
        load_run(folder)
    except FileNotFoundError:
        return UNREADABLE
    except OSError as error:
        return f"{FILE} cannot be read: {str(error.strerror).lower()}"
    except ValueError as error:
        return str(error)
    return None


def read_or_unfinished(folder: Path) -> RunRecord:
    """Return the content of a run's run.json; if it is missing or broken, only the status `UNFINISHED`."""
    record: RunRecord = {"status": UNFINISHED}
    if content := read_run(folder):
        record |= content
    return record


def clear_run(folder: Path, *, stale: bool) -> None:
    """Remove the temporary files of a killed run, and the run.json and error.log of an earlier one.

    Args:
        folder: The run's folder.
        stale: Whether to remove the earlier run's other files too, because the new run starts at step 0.
    """
    temporaries = [path for name in (FILE, "checkpoint.pt") for path in folder.glob(f".{name}.*")]
    for path in [*temporaries, *(folder / name for name in (_STALE if stale else _ENDING))]:
        path.unlink(missing_ok=True)


def describe_error(error: Exception) -> str:
    """Return the first line of an error's message, after its type if it is not a `GradlabError`."""
    line = next(iter(str(error).splitlines()), "")
    return line if isinstance(error, GradlabError) else f"{type(error).__name__}: {line}"
