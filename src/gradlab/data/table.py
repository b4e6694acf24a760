"""A table of your own: a CSV file of which one column is to be predicted from the others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from annotated_types import Gt, Lt
from torch import Tensor

from gradlab.data.dataset import Dataset
from gradlab.data.images import Scale
from gradlab.data.seeds import generator
from gradlab.data.standardized import standardized
from gradlab.errors import closest, did_you_mean, one_line

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 20  # whole numbers with more different values than this are values, not classes
MOST_WORDS = 100  # different words in a column that is still turned into one input each
LARGEST = 1e150  # the squares of larger numbers, which standardizing takes, overflow


def table(
    *,
    path: str,
    target: str,
    task: Literal["auto", "classification", "regression"] = "auto",
    drop: Sequence[str] = (),
    separator: str = ",",
    test_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2,
    split_seed: int = 0,
    standardize: bool = True,
    standardize_target: bool = True,
    scale: Scale = 1.0,
) -> Dataset:
    """Read a CSV file whose first line names the columns.

    A column of words becomes one input for each word, 1 where it stands and 0 elsewhere.

    Args:
        path: The file.
        target: The column to predict.
        task: What it holds; auto takes words, truth values, and whole numbers of at most 20 different values for
            classes, other numbers for values.
        drop: Columns to leave out, such as names or numbers of rows.
        separator: What stands between two cells.
        test_fraction: Share of the rows that is kept for the test.
        split_seed: Seed of the choice of these rows, apart from the run's, so that runs of different seeds are
            comparable.
        standardize: Whether every input is shifted and scaled to mean 0 and variance 1 over the training rows.
        standardize_target: Whether the values of a regression are too: a loss of 1 is then that of predicting the mean.
        scale: Factor on the inputs, after that.

    Returns:
        Inputs [n, features] in float32; class indices, in the order of the sorted classes, or values [n, 1].

    Raises:
        ValueError: If the file or a column is not there, cells are empty, infinite or beyond 1e150, a column is the
            same in every row or has too many different words, or there are too few rows.
    """
    frame = _read(path, separator)
    for name in (target, *drop):
        if name not in frame.columns:
            tail = did_you_mean(closest(name, frame.columns)) or f"; its columns: {', '.join(frame.columns)}"
            raise ValueError(f"{'target' if name == target else 'drop'}: {path} has no column '{name}'{tail}")
    if target in drop:
        raise ValueError(f"drop: '{target}' is the target; leave it out of data.drop")
    frame = frame.drop(columns=list(drop))
    _check(frame, path, target)
    tests = max(1, round(test_fraction * len(frame)))
    if len(frame) - tests < 2:
        raise ValueError(f"{path} has too few rows: {len(frame)}, of which test_fraction={test_fraction} keeps {tests}")

    targets, outputs = _targets(frame[target], task)
    order = torch.randperm(len(frame), generator=generator(split_seed))
    inputs, targets = _inputs(frame.drop(columns=target), path)[order], targets[order]
    train, test = inputs[tests:], inputs[:tests]
    train_targets, test_targets = targets[tests:], targets[:tests]
    if standardize:
        train, test = standardized(train, test)
    if standardize_target and targets.is_floating_point():
        train_targets, test_targets = standardized(train_targets, test_targets)
    return Dataset(
        train_inputs=(scale * train).float(),
        train_targets=train_targets.float() if targets.is_floating_point() else train_targets,
        test_inputs=(scale * test).float(),
        test_targets=test_targets.float() if targets.is_floating_point() else test_targets,
        outputs=outputs,
        task="regression" if targets.is_floating_point() else "classification",
    )


def _read(path: str, separator: str) -> "pd.DataFrame":
    import pandas as pd  # a second that other data sets need not wait for

    if not separator:
        raise ValueError("separator must be at least one character, such as ',' or ';'")
    try:
        frame = pd.read_csv(path, sep=separator, skipinitialspace=True)
    except FileNotFoundError as error:
        raise ValueError(f"path: there is no file {path}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"path: {path} is not UTF-8 text; save it as such") from error
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise ValueError(f"path: cannot read {path}: {one_line(error)}") from error
    return frame.rename(columns=lambda name: str(name).strip()).apply(_numbers)


def _numbers(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return whole numbers too large for 64 bits, which pandas leaves as words, as floats."""
    if column.dtype.kind in "iufb":
        return column
    try:
        return column.astype("float64")
    except (TypeError, ValueError):
        return column


def _check(frame: "pd.DataFrame", path: str, target: str) -> None:
    """Refuse what would only show as numbers that are none, or as an input that says nothing."""
    if len(frame.columns) < 2:
        raise ValueError(f"{path} has no column to predict {target} from; separator says what stands between two cells")
    for name, column in frame.items():
        empty = column.isna()
        if empty.any():
            line = int(empty.to_numpy().argmax()) + 2  # the header is line 1
            raise ValueError(f"{path}: {int(empty.sum())} empty cells in column '{name}', the first in line {line}")
        if column.dtype.kind == "f" and column.abs().max() > LARGEST:
            raise ValueError(f"{path}: column '{name}' holds infinite values, or some beyond {LARGEST:g}; rescale it")
        if column.nunique() < 2:
            hint = "" if name == target else f"; leave it out: data.drop=[{name}]"
            raise ValueError(f"{path}: column '{name}' is the same in every row{hint}")


def _targets(column: "pd.Series[Any]", task: str) -> tuple[Tensor, int]:
    """Return class indices [n] and the number of classes, or values [n, 1] in float64 and 1."""
    numeric = column.dtype.kind in "iuf"
    few = column.dtype.kind in "iu" and column.nunique() <= MOST_CLASSES
    if task == "regression" and not (numeric or column.dtype.kind == "b"):
        raise ValueError(f"task: column '{column.name}' holds words, which cannot be predicted as numbers")
    if task == "regression" or (task == "auto" and numeric and not few):
        return torch.tensor(column.to_numpy(dtype="float64")).unsqueeze(1), 1
    classes, names = column.factorize(sort=True)
    if len(names) == len(column):
        raise ValueError(f"task: column '{column.name}' is different in every row: no classes to learn")
    return torch.tensor(classes, dtype=torch.int64), len(names)


def _inputs(frame: "pd.DataFrame", path: str) -> Tensor:
    """Return the inputs [n, features] in float64, one for each number column and for each word of the others."""
    import pandas as pd

    for name, column in frame.items():
        if column.dtype.kind not in "iufb" and column.nunique() > MOST_WORDS:
            message = f"column '{name}' has {column.nunique()} different words, too many for one input each"
            raise ValueError(f"{path}: {message}; leave it out: data.drop=[{name}]")
    words = [name for name, column in frame.items() if column.dtype.kind not in "iufb"]
    return torch.tensor(pd.get_dummies(frame, columns=words).to_numpy(dtype="float64"))
