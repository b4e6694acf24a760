"""Tables of a sweep: `summary.csv` has one row per run, `summary_by_config.csv` one row per config, over its seeds.

Runs end concurrently in several processes. Each adds its own row under a lock and by rename, so that no row is lost and
no reader gets an incomplete table. It does not open the folders of the other runs.
"""

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from gradlab.artifacts.atomic import replacing
from gradlab.artifacts.lock import holding_tables
from gradlab.artifacts.record import describe_error
from gradlab.borders import print_line, read_cell, table_cell
from gradlab.run.row import MEASURED, RESULTS, override_keys, read_row, read_value

SUMMARY, BY_CONFIG = "summary.csv", "summary_by_config.csv"
Row = Mapping[str, str]
_waiting: list[Path] | None = None  # runs that ended in a `together` block and are not in the tables yet


@dataclass(frozen=True)
class Summary:
    """Content of a ``summary.csv``.

    Attributes:
        columns: Names of the columns.
        rows: One row for each run, as column name to text of the cell.
        runs: Folder of the run of each row.
        skipped: Folder to reason, for each run without a row because its files are broken.
    """

    columns: Sequence[str]
    rows: Sequence[Row]
    runs: Sequence[Path]
    skipped: Mapping[Path, str]


def summarize(folder: Path, runs: Sequence[Path]) -> Summary:
    """Write both tables of a sweep from the files of its runs.

    Args:
        folder: The folder for the tables.
        runs: Folders of the runs, as for `collect`.
    """
    with holding_tables(folder):  # read inside the lock, so that no row that another process adds is lost
        summary = collect(runs)
        _write_both(folder, summary.columns, summary.rows)
    return summary


def collect(runs: Sequence[Path]) -> Summary:
    """Return the content of ``summary.csv`` from the files of the runs; nothing is written.

    A key that only some runs override is looked up in the configs of the others. The rows of a sweep are in the order
    of its command where every run has a job number of its own, else in the given order.

    Args:
        runs: Folders of the runs. Runs of several sweeps are named by sweep and run, and get a column ``sweep``.
    """
    parents = {run.resolve().parent for run in runs}
    base = Path(os.path.commonpath(parents)) if parents else Path()
    read: list[tuple[Path, dict[str, str]]] = []
    skipped: dict[Path, str] = {}
    for run in runs:
        place = run.resolve().relative_to(base)
        sweep = {"sweep": place.parent.as_posix()} if len(parents) > 1 else {}
        try:
            read.append((run, {"run": ""} | sweep | read_row(run, name=place.as_posix())))
        except ValueError as error:
            skipped[run] = str(error)
    read = _in_order(read)
    columns = _columns(row for _, row in read)
    for run, row in read:
        row |= {key: read_value(run, key) for key in override_keys(columns) if key not in row}
    rows = [row for _, row in read]
    return Summary(columns=columns, rows=rows, runs=[run for run, _ in read], skipped=skipped)


def _in_order(read: Sequence[tuple[Path, dict[str, str]]]) -> list[tuple[Path, dict[str, str]]]:
    """Return the rows of each sweep by job number, if its runs have distinct ones.

    Of a sweep that was given twice, the runs of the second command are numbered from 0 again.
    """
    sweeps: dict[Path, list[tuple[Path, dict[str, str]]]] = {}
    for run, row in read:
        sweeps.setdefault(run.resolve().parent, []).append((run, row))
    for rows in sweeps.values():
        jobs = {row["job"] for _, row in rows}
        if "" not in jobs and len(jobs) == len(rows):
            rows.sort(key=lambda item: int(item[1]["job"]))
    return [item for rows in sweeps.values() for item in rows]


def add_run(folder: Path, run: Path) -> None:
    """Add a run that has just ended to the tables of its sweep; an older row of the run is replaced.

    ``summary.csv`` is updated at once, or at the end of a `together` block. ``summary_by_config.csv`` is written each
    time ``summary.csv`` has grown by 5%.

    Args:
        folder: The sweep's folder.
        run: The run's folder in it.
    """
    if _waiting is not None:
        _waiting.append(run)
        return
    name = run.name
    path = folder / SUMMARY
    with holding_tables(folder):
        row = read_row(run, name=name)
        head, _, body = (path.read_text(encoding="utf-8") if path.exists() else "").partition("\n")
        columns = next(csv.reader([head]), [])
        if set(row) <= set(columns):
            start = f"\n{body}".find(f"\n{_line([name])[:-1]},")
            before, after = (body, "") if start < 0 else (body[:start], body[start:].partition("\n")[2])
            line = _line([row.get(column, "") for column in columns])
            with replacing(path) as temporary:
                temporary.write_text(f"{head}\n{before}{line}{after}", encoding="utf-8")
            count = body.count("\n") + 1
            if start >= 0 or count % max(1, count // 20):
                return
        _rewrite(folder, {name: row})


@contextmanager
def together(folder: Path) -> Iterator[None]:
    """Defer `add_run` inside the block, and write the tables once at its end.

    Args:
        folder: The sweep's folder.
    """
    global _waiting
    _waiting = []
    try:
        yield
    finally:
        ended, _waiting = _waiting, None
        add_runs(folder, ended)


def add_runs(folder: Path, runs: Iterable[Path]) -> None:
    """Add those runs that have ended to the tables of their sweep; older rows of these runs are replaced.

    An error is printed in one line and not raised, because the end of the sweep rebuilds the tables.

    Args:
        folder: The sweep's folder.
        runs: Folders of runs in it.
    """
    try:
        ended = [run for run in runs if (run / "run.json").exists()]
        if ended:
            with holding_tables(folder):
                _rewrite(folder, {run.name: read_row(run, name=run.name) for run in ended})
    except Exception as error:
        print_line(f"gradlab: {SUMMARY} lacks runs: {describe_error(error)}", to_stderr=True)


def read_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and rows of a table; both are empty if there is no such file."""
    if not path.exists():
        return [], []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        return list(reader.fieldnames or ()), [
            {name: read_cell(cell or "") for name, cell in row.items()} for row in reader
        ]


def aggregate(columns: Sequence[str], rows: Iterable[Row]) -> tuple[list[str], list[dict[str, str]]]:
    """Aggregate runs that differ only in their seed into one row.

    Args:
        columns: Columns of ``summary.csv``.
        rows: Rows of ``summary.csv``.

    Returns:
        Columns and rows of ``summary_by_config.csv``: the overrides, the number ``n`` of runs, the numbers of those
        that completed, diverged and ended otherwise, the most frequent last verdict, and median and quartiles of each
        measured column.
    """
    names = override_keys(columns)
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(key, "") for key in names), []).append(row)
    measures = [f"{figure}_{part}" for figure in MEASURED for part in ("median", "q1", "q3")]
    aggregated = []
    for config, members in groups.items():
        endings = Counter(row["status"] for row in members)
        counts = {"n": len(members), "completed": endings.pop("completed", 0), "diverged": endings.pop("diverged", 0)}
        cells = dict(zip(names, config, strict=True)) | {name: str(count) for name, count in counts.items()}
        cells["failed"] = str(endings.total())
        cells["verdict_final"] = Counter(row["verdict_final"] for row in members).most_common(1)[0][0]
        for figure in MEASURED:
            values = [float(row[figure]) for row in members if row.get(figure)]
            if values:
                for part, share in (("q1", 0.25), ("median", 0.5), ("q3", 0.75)):
                    cells[f"{figure}_{part}"] = repr(quantile(values, share))
        aggregated.append(cells)
    return [*names, "n", "completed", "diverged", "failed", "verdict_final", *measures], aggregated


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile by linear interpolation (Hyndman & Fan 1996, type 7), where nan ranks as the largest value.

    The loss of a diverged run is nan. Leaving it out would improve the median, so it counts as the worst result.

    Args:
        values: One or more numbers.
        share: The quantile, from 0 to 1.
    """
    ranked = sorted(values, key=lambda value: (isnan(value), value))
    place = share * (len(ranked) - 1)
    low, high = ranked[int(place)], ranked[min(int(place) + 1, len(ranked) - 1)]
    weight = place - int(place)
    return low if weight == 0 or low == high else low * (1 - weight) + high * weight


def _rewrite(folder: Path, new: Mapping[str, Row]) -> None:
    """Write both tables, with new rows by run name in place of older ones; the caller holds the lock."""
    known, rows = read_rows(folder / SUMMARY)
    rows = [*(old for old in rows if old["run"] not in new), *new.values()]
    _write_both(folder, _columns([dict.fromkeys(known, ""), *rows]), rows)


def _write_both(folder: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    _write(folder / SUMMARY, columns, rows)
    _write(folder / BY_CONFIG, *aggregate(columns, rows))


def _columns(rows: Iterable[Row]) -> list[str]:
    """Return the columns of a table of these rows: the name, all overrides, the results, and any others."""
    order: dict[str, None] = {}
    extra: dict[str, None] = {}
    for row in rows:
        names = list(row)
        overrides = override_keys(names)
        order |= dict.fromkeys(overrides)
        extra |= dict.fromkeys(name for name in names if name not in overrides)
    return ["run", *order, *RESULTS, *(name for name in extra if name not in ("run", *RESULTS))]


def _write(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: table_cell(cell) for name, cell in row.items()} for row in rows)


def _line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(map(table_cell, cells))
    return buffer.getvalue()
