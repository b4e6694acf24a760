"""What is left of a run that was killed, and what is wrong with files that are not whole."""

from pathlib import Path

from gradlab.artifacts.read import check_table, read_first_and_last
from gradlab.artifacts.record import UNFINISHED, RunRecord
from gradlab.errors import one_line


def read_progress(folder: Path) -> RunRecord:
    """Return what the tables of a run without run.json hold of it: steps, hidden layers, and the last losses.

    Raises:
        ValueError: A table is broken.
    """
    rows = read_first_and_last(folder / "gradients.csv")[1]
    metrics = read_first_and_last(folder / "metrics.csv")[1]
    steps = [row["step"] for row in (*rows, *metrics)]
    depths = sorted(row["depth_index"] for row in rows if row["role"] == "main")
    last = metrics[-1] if metrics else {}
    return {
        "status": UNFINISHED,
        "steps": max(steps) + 1 if steps else 0,
        "hidden_layers": max(0, depths[-1] - 1) if depths else None,  # the deepest layer is the head
        "metrics": {name: last.get(name) for name in ("train_loss", "eval_loss", "eval_accuracy")},
    }


def damaged_tables(folder: Path, record: RunRecord) -> str | None:
    """Return what is wrong with the tables of a run whose run.json is whole; None if they are whole.

    Args:
        folder: The run's folder.
        record: Content of its run.json.
    """
    if record["status"] == UNFINISHED:  # it may be writing them
        return None
    name = ""
    try:
        for name in ("gradients.csv", "metrics.csv", "timesteps.csv"):
            if (folder / name).exists():
                check_table(folder / name)
        name = "gradients.csv"
        first, rows = read_first_and_last(folder / name)
        if len(rows) < len(first):  # a network may grow, and never shrinks
            raise ValueError(f"step {rows[0]['step']} has {len(rows)} rows, step {first[0]['step']} {len(first)}")
        final = [item for item in record.get("verdicts") or () if item["when"] == "final"]
        judged = [item["step"] for item in final if item.get("over") == "depth"]
        if rows and judged and rows[-1]["step"] < max(judged):
            raise ValueError(f"it ends at step {rows[-1]['step']}, but run.json judges step {max(judged)}")
    except (OSError, ValueError) as error:
        reason = describe_damage(error).removeprefix(f"{folder / name}")
        return f"{name} is damaged: {reason.lstrip(':, ')}; the verdicts are those of run.json"
    return None


def describe_damage(error: Exception) -> str:
    """Return in one line why a run cannot be read."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{Path(error.filename).name} cannot be read: {str(error.strerror).lower()}"
    if isinstance(error, ValueError):
        return one_line(error)
    return f"a file is damaged ({type(error).__name__}: {one_line(error)})"
