"""Data drawn from a formula; the test set is newly drawn and a quarter as large."""

from typing import Annotated

import torch
from annotated_types import Ge, Gt

from gradlab.data.dataset import Dataset
from gradlab.data.seeds import generator
from gradlab.data.standardized import standardized_targets


def gaussian(
    *,
    features: Annotated[int, Ge(1)] = 256,
    classes: Annotated[int, Ge(2)] = 10,
    samples: Annotated[int, Ge(1)] = 8192,
    seed: Annotated[int, Ge(0)] = 0,
    scale: Annotated[float, Gt(0)] = 1.0,
) -> Dataset:
    """Draw N(0, 1) inputs and independent labels: for studies at initialization, with nothing to learn.

    Args:
        features: Length of an input.
        classes: Number of classes, drawn with equal probability.
        samples: Number of training samples.
        seed: Seed of inputs and labels.
        scale: Factor on the inputs.

    Returns:
        Inputs [n, features] in float32 and int64 labels [n].
    """
    numbers = generator(seed)
    total = samples + _test_samples(samples)
    inputs = scale * torch.randn(total, features, generator=numbers)
    targets = torch.randint(classes, (total,), generator=numbers)
    return Dataset(
        train_inputs=inputs[:samples],
        train_targets=targets[:samples],
        test_inputs=inputs[samples:],
        test_targets=targets[samples:],
        outputs=classes,
        task="classification",
    )


def linear_regression(
    *,
    slope: float = 3.0,
    intercept: float = 2.0,
    noise: Annotated[float, Ge(0)] = 0.5,
    samples: Annotated[int, Ge(1)] = 100,
    seed: Annotated[int, Ge(0)] = 0,
    standardize_target: bool = False,
    scale: Annotated[float, Gt(0)] = 1.0,
) -> Dataset:
    """Draw points of a noisy line: y = slope x + intercept + noise e, with x and e from N(0, 1).

    The expected squared error of any fit is at least noise^2, in the units of y.

    Args:
        slope: Slope of the line.
        intercept: Height of the line at x = 0.
        noise: Standard deviation of the noise.
        samples: Number of training samples.
        seed: Seed of x and e.
        standardize_target: Whether to standardize y over the training points, so that predicting the mean has a loss
            of 1.
        scale: Factor on the inputs after the targets are computed, so that the slope to fit is slope / scale.

    Returns:
        Inputs [n, 1] and targets [n, 1] in float32.
    """
    numbers = generator(seed)
    total = samples + _test_samples(samples)
    x = torch.randn(total, 1, generator=numbers)
    y = slope * x + intercept + noise * torch.randn(total, 1, generator=numbers)
    train, test, unit = y[:samples], y[samples:], 1.0
    if standardize_target:
        train, test, unit = standardized_targets(train, test)
    return Dataset(
        train_inputs=scale * x[:samples],
        train_targets=train,
        test_inputs=scale * x[samples:],
        test_targets=test,
        outputs=1,
        task="regression",
        unit=unit,
    )


def grid(
    *, low: float = -2.0, high: float = 2.0, samples: Annotated[int, Ge(2)] = 256, scale: Annotated[float, Gt(0)] = 1.0
) -> Dataset:
    """Return equally spaced points of a line, in order, with the mean output as the loss.

    n dL/dz of a sample is then the gradient of the network's output at that point. In deep nets these gradients
    "shatter": they change abruptly between neighbours (Balduzzi et al. 2017, section 2.1, with 256 points of [-2, 2]).

    Args:
        low: The first point.
        high: The last point.
        samples: Number of points; set ``train.batch_size`` to it, to have them all in one batch.
        scale: Factor on the points.

    Returns:
        Inputs [n, 1] and targets [n, 1], all 1; training and test set are equal.

    Raises:
        ValueError: If the last point is not above the first.
    """
    if not low < high:
        raise ValueError(f"high={high} must be above low={low}")
    points = scale * torch.linspace(low, high, samples).unsqueeze(1)
    ones = torch.ones_like(points)
    return Dataset(
        train_inputs=points,
        train_targets=ones,
        test_inputs=points,
        test_targets=ones,
        outputs=1,
        task="linear",
        ordered=True,
    )


def _test_samples(samples: int) -> int:
    return max(1, samples // 4)
