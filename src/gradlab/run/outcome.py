"""The end of a run in its run.json: why it failed, or whether it passes its gate."""

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from omegaconf import DictConfig

from gradlab.artifacts.atomic import replacing
from gradlab.artifacts.junit import write_junit
from gradlab.artifacts.record import RunRecord, describe_error, write_run
from gradlab.diagnosis.gate import Gate
from gradlab.errors import GateError
from gradlab.run import checkpoint
from gradlab.run.opening import Opening


@contextmanager
def record_failure(
    cfg: DictConfig, folder: Path, record: RunRecord, *, opening: Opening, brief: bool
) -> Iterator[None]:
    """Write error.log and run.json if the block raises, and raise the error again.

    Args:
        cfg: The composed config.
        folder: The run's folder.
        record: The content of run.json so far.
        opening: The first write of the run, which decides whether an error is recorded.
        brief: Whether the run is part of a sweep.
    """
    started = time.monotonic()
    try:
        yield
    except checkpoint.ForeignRunError:
        raise
    except Exception as error:
        record |= {"status": "failed", "error": describe_error(error), "seconds": time.monotonic() - started}
        with suppress(OSError):  # the first error must be raised, not one of writing it down
            if opening.records_failure():
                _write_failure(folder, record, traceback.format_exc())
        if cfg.gate.junit and isinstance(cfg.gate.junit, str) and not brief:  # the error may be about the path itself
            with suppress(OSError):
                write_junit(Path(cfg.gate.junit), {folder.name: record})
        raise


def _write_failure(folder: Path, record: RunRecord, text: str) -> None:
    with suppress(OSError), replacing(folder / "error.log") as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_run(folder, record)


def pass_gate(cfg: DictConfig, record: RunRecord, gate: Gate, folder: Path, *, alone: bool) -> float | None:
    """Write to run.json whether a finished run passes its gate.

    Args:
        cfg: The composed config.
        record: The content of run.json.
        gate: The gate.
        folder: The run's folder.
        alone: Whether the run is not part of a sweep, which reports the gates of all runs at its end.

    Returns:
        The metric named by ``objective``; None if the run did not complete or did not measure it.

    Raises:
        GateError: The run is alone and does not pass.
    """
    metrics = record.get("metrics", {})
    record["gate"] = gate.reasons(
        status=record["status"],
        metrics=metrics,
        verdicts=record.get("verdicts", []),
        hidden_layers=record.get("hidden_layers"),
    )
    write_run(folder, record)
    if alone and gate.junit:
        write_junit(Path(gate.junit), {folder.name: record})
    if alone and record["gate"]:
        raise GateError(f"gate: {'; '.join(record['gate'])}")
    return metrics.get(cfg.objective) if record["status"] == "completed" else None
