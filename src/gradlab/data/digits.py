"""Scikit-learn's handwritten digits: real images small enough to train on in seconds."""

from importlib.metadata import PackageNotFoundError, distribution
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Gt
from numpy.typing import NDArray

from gradlab.data.dataset import Dataset
from gradlab.data.standardized import standardized

_TEST_SAMPLES = 397
_FILE = "sklearn/datasets/data/digits.csv.gz"


def digits(*, standardize: bool = True, scale: Annotated[float, Gt(0)] = 1.0) -> Dataset:
    """Load 1797 images of digits (Alpaydin & Kaynak 1998), 1400 for training and 397 for testing.

    The split is that of scikit-learn's ``train_test_split(test_size=397, random_state=0)`` for every seed of a run, so
    that test accuracies of different seeds are comparable. It is a permutation by ``numpy.random.RandomState(0)``,
    whose stream numpy guarantees never to change, with the test images first.

    Args:
        standardize: Whether to standardise every pixel; otherwise pixels are counts from 0 to 16.
        scale: Factor on the inputs, after standardisation.

    Returns:
        Inputs [n, 1, 8, 8] in float32 and ten classes.
    """
    table = _table()
    table = torch.from_numpy(table[np.random.RandomState(0).permutation(len(table))])
    images, targets = table[:, :-1].reshape(-1, 1, 8, 8), table[:, -1].to(torch.int64)
    test, train = images[:_TEST_SAMPLES], images[_TEST_SAMPLES:]
    if standardize:
        train, test = standardized(train, test)
    return Dataset(
        train_inputs=(scale * train).to(torch.float32),
        train_targets=targets[_TEST_SAMPLES:],
        test_inputs=(scale * test).to(torch.float32),
        test_targets=targets[:_TEST_SAMPLES],
        outputs=10,
        task="classification",
    )


def _table() -> NDArray[np.float64]:
    """Return scikit-learn's digits, [1797, 65]: 64 pixels and the label.

    The file is read like ``load_digits`` reads it, but without importing scikit-learn, which takes longer than training
    a small network.
    """
    try:
        return np.loadtxt(str(distribution("scikit-learn").locate_file(_FILE)), delimiter=",")
    except (FileNotFoundError, PackageNotFoundError):  # the file has moved, or scikit-learn has no package metadata
        from sklearn.datasets import load_digits

        columns: Any = load_digits(return_X_y=True)  # typed as a union over its arguments
        return np.column_stack(columns)
