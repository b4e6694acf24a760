"""run.json as one typed record, with one reader and one writer."""

import json
from pathlib import Path
from typing import Any, Required, TypedDict

from gradlab.artifacts.atomic import write_json
from gradlab.artifacts.environment import Environment
from gradlab.diagnosis.verdict import VerdictRecord
from gradlab.errors import GradlabError

FILE = "run.json"
UNREADABLE = "it left no readable run.json"
UNFINISHED = "unfinished"  # status of a run without a readable run.json: under way, or killed

# Files that say how an earlier run ended; a new run in the same folder removes them before it begins.
_ENDING = (FILE, "error.log")
# Files that a new run may not write; its other files overwrite the earlier ones.
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
        suggestion: The learning rate to take; None where the loss did not fall.
        lowest_at: The learning rate of the lowest smoothed loss; None where the loss did not fall.
        blew_up_at: The learning rate at which the test ended early; None where it did not.
        steps: Number of optimizer steps.
    """

    suggestion: float | None
    lowest_at: float | None
    blew_up_at: float | None
    steps: int


class RunRecord(TypedDict, total=False):
    """Content of run.json, its keys in the order in which they are first set.

    Only ``status`` is in every file: a run that failed has what was known when it failed. A number that is nan or
    infinite is a word ("nan", "inf", "-inf") once the file has been read.

    Attributes:
        status: ``completed``, ``diverged``, ``interrupted`` or ``failed``.
        fingerprint: Of the config and the code; None for a run of `gradlab.watch`.
        seed: Of every random number; None for a run of `gradlab.watch`.
        warnings: One line each.
        lr_range: Result of the range test, where there was one.
        environment: Versions, device, threads and state of the code.
        model: Class of the model, for a run of `gradlab.watch`.
        steps: Number of optimizer steps.
        seconds: How long the run took.
        hidden_layers: Number of layers on the main path without the head; None where it is not known.
        growth: Each growth of the network: step, depths and evaluation losses before and after.
        metrics: Final losses and accuracies, and the size of the gradient flow; None where not measured.
        verdicts: The initial gradient flow, other faults, the final gradient flow.
        theory: Prediction and measurement at step 0; a reason where there is no prediction.
        chance: Loss and accuracy of the best answer that does not look at its input.
        fused: Number of runs that were trained together.
        figures: True once the figures are drawn.
        gate: Why the run does not pass its gate, one sentence each.
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


def write_run(folder: Path, record: RunRecord) -> None:
    """Write run.json into a run's folder, by rename."""
    write_json(folder / FILE, record)


def load_run(folder: Path) -> RunRecord:
    """Return the content of a run's run.json.

    Raises:
        OSError: There is none.
        ValueError: It is not a JSON object.
    """
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{FILE} is broken: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{FILE} is broken: it is not an object")
    return content  # pyright: ignore[reportReturnType]


def read_run(folder: Path) -> RunRecord | None:
    """Return the content of a run's run.json; None where there is none or it cannot be read."""
    try:
        return load_run(folder)
    except (OSError, ValueError):
        return None


def read_or_unfinished(folder: Path) -> RunRecord:
    """Return the content of a run's run.json; its status is `UNFINISHED` where there is none or it is broken."""
    record: RunRecord = {"status": UNFINISHED}
    if found := read_run(folder):
        record |= found
    return record


def clear_run(folder: Path, *, stale: bool) -> None:
    """Remove the temporary files of a killed run, and the run.json and error.log of an earlier one.

    Args:
        folder: The run's folder.
        stale: Whether to remove the earlier run's other files too, before a run from step 0.
    """
    halves = [path for name in (FILE, "checkpoint.pt") for path in folder.glob(f".{name}.*")]
    for path in [*halves, *(folder / name for name in (_STALE if stale else _ENDING))]:
        path.unlink(missing_ok=True)


def describe_error(error: Exception) -> str:
    """Return an error in one line: gradlab's own message as it is, others with their type."""
    line = next(iter(str(error).splitlines()), "")
    return line if isinstance(error, GradlabError) else f"{type(error).__name__}: {line}"
