"""A table of your own: a CSV file in which one column is to be predicted from the others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from annotated_types import Gt, Lt
from torch import Tensor

from gradlab.data.csv_file import CsvFile, Missing, settle_missing, stray_words
from gradlab.data.dataset import Dataset
from gradlab.data.images import Scale
from gradlab.data.seeds import generator
from gradlab.data.standardized import standardized, standardized_targets
from gradlab.errors import closest, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 20  # a column of whole numbers with more distinct values holds values, not classes
MOST_WORDS = 100  # most distinct words in a column that is one-hot encoded
LARGEST = 1e150  # standardizing squares the numbers, and the squares of larger ones overflow float64


def table(
    *,
    path: str,
    target: str,
    task: Literal["auto", "classification", "regression"] = "auto",
    drop: Sequence[str] = (),
    separator: str = ",",
    missing: Missing = "error",
    test_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2,
    split_seed: int = 0,
    standardize: bool = True,
    standardize_target: bool = True,
    scale: Scale = 1.0,
) -> Dataset:
    """Read a CSV file whose first line names the columns.

    A column of words is one-hot encoded.

    Args:
        path: The file.
        target: The column to predict.
        task: Kind of the target; auto takes words, truth values, and whole numbers with at most 20 distinct values for
            classes, and other numbers for values.
        drop: Columns to leave out, such as names or row numbers.
        separator: Separator between two cells.
        missing: What to do about missing cells (empty, NA, NaN, None …): refuse them, put the column's mean over the
            training rows in their place (a missing word: 0 for each word), or drop their rows.
        test_fraction: Share of the rows in the test set.
        split_seed: Seed of the split, separate from the run's, so that runs of different seeds are comparable.
        standardize: Whether to standardise every input to mean 0 and variance 1 over the training rows.
        standardize_target: Whether to standardise the values of a regression, so that predicting the mean has a loss
            of 1.
        scale: Factor on the inputs, after standardisation.

    Returns:
        Inputs [n, features] in float32; class indices, in the order of the sorted classes, or values [n, 1].

    Raises:
        ValueError: If the file or a column is missing, a name appears twice, a row is longer than the first line, a
            cell is missing (see ``missing``), infinite or beyond 1e150, a column is constant or has too many distinct
            words, or there are too few rows.
    """
    file = CsvFile(path=path, separator=separator)
    frame = file.read()
    for name in (target, *drop):
        if name not in frame.columns:
            hint = did_you_mean(closest(name, frame.columns)) or f"; its columns: {', '.join(frame.columns)}"
            raise ValueError(f"{'target' if name == target else 'drop'}: {path} has no column '{name}'{hint}")
    if target in drop:
        raise ValueError(f"drop: '{target}' is the target; leave it out of data.drop")
    frame = frame.drop(columns=list(drop))
    if len(frame.columns) < 2:
        raise ValueError(f"{path} has only one column, so nothing to predict {target} from; check data.separator")
    frame, warnings = settle_missing(frame, file, target=target, missing=missing)
    warnings += stray_words(frame, file)
    tests = max(1, round(test_fraction * len(frame)))
    if len(frame) - tests < 2:
        raise ValueError(f"{path} has too few rows: {len(frame)}, of which test_fraction={test_fraction} takes {tests}")
    _check(frame, path, target)

    targets, outputs = _targets(frame[target], task)
    order = torch.randperm(len(frame), generator=generator(split_seed))
    inputs, targets = _inputs(frame.drop(columns=target), path)[order], targets[order]
    train, test = _filled(inputs[tests:], inputs[:tests])
    train_targets, test_targets = targets[tests:], targets[:tests]
    unit = 1.0
    if standardize:
        train, test = standardized(train, test)
    if standardize_target and targets.is_floating_point():
        train_targets, test_targets, unit = standardized_targets(train_targets, test_targets)
    return Dataset(
        train_inputs=(scale * train).float(),
        train_targets=train_targets.float() if targets.is_floating_point() else train_targets,
        test_inputs=(scale * test).float(),
        test_targets=test_targets.float() if targets.is_floating_point() else test_targets,
        outputs=outputs,
        task="regression" if targets.is_floating_point() else "classification",
        unit=unit,
        warnings=tuple(f"{path}: {line}" for line in warnings),
    )


def _filled(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Put the mean over the training rows in the place of missing numbers; 0 where no training row has one."""
    mean = torch.nan_to_num(train.nanmean(0))
    return torch.where(train.isnan(), mean, train), torch.where(test.isnan(), mean, test)


def _check(frame: "pd.DataFrame", path: str, target: str) -> None:
    """Refuse data that would give infinite or constant inputs."""
    for name, column in frame.items():
        if column.dtype.kind == "f" and column.abs().max() > LARGEST:
            raise ValueError(
                f"{path}: column '{name}' holds values that are infinite or beyond {LARGEST:g}; rescale it"
            )
        if column.nunique() < 2:
            hint = "" if name == target else f"; leave it out: data.drop=[{name}]"
            raise ValueError(f"{path}: column '{name}' has the same value in every row{hint}")


def _targets(column: "pd.Series[Any]", task: str) -> tuple[Tensor, int]:
    """Return class indices [n] and the number of classes, or values [n, 1] in float64 and 1."""
    numeric = column.dtype.kind in "iuf"
    few_integers = column.dtype.kind in "iu" and column.nunique() <= MOST_CLASSES
    if task == "regression" and not (numeric or column.dtype.kind == "b"):
        raise ValueError(f"task: column '{column.name}' holds words, which cannot be predicted as numbers")
    if task == "regression" or (task == "auto" and numeric and not few_integers):
        return torch.tensor(column.to_numpy(dtype="float64")).unsqueeze(1), 1
    classes, names = column.factorize(sort=True)
    if len(names) == len(column):
        raise ValueError(f"task: column '{column.name}' has a different value in every row, so no classes to learn")
    return torch.tensor(classes, dtype=torch.int64), len(names)


def _inputs(frame: "pd.DataFrame", path: str) -> Tensor:
    """Return the inputs [n, features] in float64: one per column of numbers, one per word of the other columns.

    A missing number is nan, and a missing word is none of the words.
    """
    import pandas as pd

    for name, column in frame.items():
        if column.dtype.kind not in "iufb" and column.nunique() > MOST_WORDS:
            message = (
                f"column '{name}' has {column.nunique()} distinct words, too many to encode (at most {MOST_WORDS})"
            )
            raise ValueError(f"{path}: {message}; leave it out: data.drop=[{name}]")
    words = [name for name, column in frame.items() if column.dtype.kind not in "iufb"]
    return torch.tensor(pd.get_dummies(frame, columns=words).to_numpy(dtype="float64", na_value=float("nan")))
