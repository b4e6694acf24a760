"""Scikit-learn's handwritten digits: real images small enough to train on in seconds."""

from typing import Annotated

import numpy as np
import torch
from annotated_types import Gt
from sklearn.datasets import load_digits

from gradlab.data.dataset import Dataset
from gradlab.data.standardized import standardized

_TEST_SAMPLES = 397


def digits(*, standardize: bool = True, scale: Annotated[float, Gt(0)] = 1.0) -> Dataset:
    """Load 1797 images of digits (Alpaydin & Kaynak 1998), 1400 for training and 397 for testing.

    The split is that of scikit-learn's ``train_test_split(test_size=397, random_state=0)``, whatever the run's seed, so
    that test accuracies of different seeds are comparable: a permutation of ``numpy.random.RandomState(0)``, a stream
    that numpy has frozen, with the test images first.

    Args:
        standardize: Whether to standardise every pixel; otherwise pixels are counts from 0 to 16.
        scale: Factor on the inputs, after standardisation.

    Returns:
        Inputs [n, 1, 8, 8] in float32 and ten classes.
    """
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(pixels))
    images = torch.from_numpy(pixels[order]).reshape(-1, 1, 8, 8)
    targets = torch.from_numpy(labels[order]).to(torch.int64)
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
