"""Reading a CSV file whose first line names its columns, and what is said of its missing and odd cells."""

import csv
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gradlab.errors import one_line

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 5  # most lines and most texts that one message names
Missing = Literal["error", "mean", "drop"]


@dataclass(frozen=True, kw_only=True)
class CsvFile:
    """A file of rows with equally many cells.

    Attributes:
        path: The file.
        separator: Separator between two cells; a regular expression if it has several characters.
    """

    path: str
    separator: str

    def read(self) -> "pd.DataFrame":
        """Return the columns by their names, in types that have a mark for missing cells.

        Raises:
            ValueError: If the file cannot be read or has no rows, a name appears twice, or a row has more cells than
                there are names.
        """
        import pandas as pd  # here, because the import takes about a second

        if not self.separator:
            raise ValueError("separator must be at least one character, such as ',' or ';'")
        options: dict[str, Any] = {"sep": self.separator, "skipinitialspace": True, "engine": "python"}
        if len(self.separator) == 1:
            options["engine"] = "c"
        try:
            header = pd.read_csv(self.path, header=None, nrows=1, dtype=str, keep_default_na=False, **options)
            names = _names(header.iloc[0])
            if twice := [name for name, count in Counter(names).items() if count > 1]:
                raise ValueError(f"{self.path}: two columns are called '{twice[0]}'; rename one")
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)  # rows that are cut to the header's length
                frame = pd.read_csv(
                    self.path, header=0, names=names, index_col=False, dtype_backend="numpy_nullable", **options
                )
        except FileNotFoundError as error:
            raise ValueError(f"path: there is no file {self.path}") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"path: {self.path} is not UTF-8 text; save it as UTF-8") from error
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            raise ValueError(self._longer_row() or f"path: cannot read {self.path}: {one_line(error)}") from error
        except (pd.errors.EmptyDataError, OSError) as error:
            raise ValueError(f"path: cannot read {self.path}: {one_line(error)}") from error
        if not len(frame):
            raise ValueError(f"{self.path} has no rows, only the names of {len(names)} columns")
        return frame.apply(_numbers)

    def cells(self, name: str, rows: Iterable[int]) -> list[tuple[int, str]]:
        """Return line number and text of the cells of a column in some rows; the first row after the names is row 0."""
        wanted, records = set(rows), self._records()
        column = _names(next(records)[1]).index(name)
        return [
            (line, row[column].strip() if column < len(row) else "")
            for number, (line, row) in enumerate(records)
            if number in wanted
        ]

    def _longer_row(self) -> str | None:
        records = list(self._records())
        names = len(records[0][1]) if records else 0
        for line, row in records:
            if len(row) > names:
                return f"{self.path}: line {line} has {len(row)} cells, and the first line names {names} columns"
        return None

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line in which each record starts, from 1, and its cells; without blank lines, as in pandas."""
        with open(self.path, encoding="utf-8-sig", newline="") as file:
            if len(self.separator) > 1:
                yield from ((line, re.split(self.separator, text)) for line, text in enumerate(file, 1) if text.strip())
                return
            reader, start = csv.reader(file, delimiter=self.separator, skipinitialspace=True), 1
            for row in reader:
                if len(row) > 1 or "".join(row).strip():
                    yield start, row
                start = reader.line_num + 1


def settle_missing(
    frame: "pd.DataFrame", file: CsvFile, *, target: str, missing: Missing
) -> tuple["pd.DataFrame", list[str]]:
    """Apply ``data.missing`` to the columns in use.

    Args:
        frame: The columns to predict from, and the target.
        file: The file that they are from, with all its columns.
        target: The column to predict.
        missing: error refuses missing cells, drop leaves out their rows, mean keeps them for the inputs' means.

    Returns:
        The frame, and one line for each column with missing cells.

    Raises:
        ValueError: If a cell is missing under ``error``, or in the target under ``mean``, or a column has no value.
    """
    lines = []
    for name, column in frame.items():
        empty = column.isna()
        if not empty.any():
            continue
        if empty.all():
            raise ValueError(f"{file.path}: column '{name}' has no values; leave it out: data.drop=[{name}]")
        found = file.cells(str(name), frame.index[empty])
        line = f"column '{name}' has {len(found)} missing cells ({_texts(found)}), {_lines(found)}"
        if missing == "error":
            raise ValueError(
                f"{file.path}: {line}; data.missing=drop leaves out their rows, mean puts the column's mean"
            )
        if missing == "mean" and name == target:
            raise ValueError(f"{file.path}: {line}; a target has no mean to put: use data.missing=drop")
        lines.append(line)
    kept = frame.dropna() if missing == "drop" else frame
    if lines and missing == "drop":
        lines.append(f"data.missing=drop left out {len(frame) - len(kept)} of {len(frame)} rows")
    return kept, lines


def stray_words(frame: "pd.DataFrame", file: CsvFile) -> list[str]:
    """Return one line for each column of words most of whose cells are numbers: it is probably one of numbers."""
    import pandas as pd

    lines = []
    for name, column in frame.items():
        if column.dtype.kind in "iufb":
            continue
        words = column.notna() & pd.to_numeric(column, errors="coerce").isna()
        count = int(words.sum())
        if 0 < count < column.notna().sum() / 2:
            found = file.cells(str(name), frame.index[words])
            lines.append(
                f"column '{name}' holds words, because {count} of its {len(column)} cells are no numbers "
                f"({_texts(found)}), {_lines(found)}"
            )
    return lines


def _names(cells: Iterable[Any]) -> list[str]:
    """Return the names of columns, without spaces around them; a column without a name is called as in pandas."""
    return [str(cell).strip() or f"Unnamed: {index}" for index, cell in enumerate(cells)]


def _numbers(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return a column as floats if pandas read it as text although it holds numbers (integers beyond 64 bits)."""
    if column.dtype.kind in "iufb":
        return column
    try:
        return column.astype("Float64")
    except (TypeError, ValueError):
        return column


def _texts(found: list[tuple[int, str]]) -> str:
    counts = Counter(text for _, text in found)
    shown = [f"{count} {repr(text) if text else 'empty'}" for text, count in counts.most_common(SHOWN)]
    return ", ".join(shown + ["…"] * (len(counts) > SHOWN))


def _lines(found: list[tuple[int, str]]) -> str:
    shown = ", ".join(str(line) for line, _ in found[:SHOWN])
    return f"line{'s' * (len(found) > 1)} {shown}{', …' * (len(found) > SHOWN)}"
