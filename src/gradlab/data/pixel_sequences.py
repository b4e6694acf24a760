"""Images as sequences of single pixels, for recurrent nets (Le, Jaitly & Hinton 2015)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from gradlab.data.dataset import Dataset
from gradlab.data.digits import digits
from gradlab.data.images import Scale, mnist


def sequential_digits(*, standardize: bool = True, scale: Scale = 1.0) -> Dataset:
    """Load scikit-learn's digits (`gradlab.data.digits.digits`), read row by row: 64 time steps of one pixel.

    Args:
        standardize: Whether to standardise the pixels, all by the same mean and standard deviation, so that equal
            brightness gives equal inputs at every time step; otherwise they are counts from 0 to 16.
        scale: Factor on the inputs, after standardisation.

    Returns:
        Inputs [n, 64, 1] in float32 and ten classes.
    """
    images = digits(standardize=False)
    mean, std = 0.0, 1.0
    if standardize:
        mean, std = images.train_inputs.mean(), images.train_inputs.std(correction=0)
    return _mapped(images, lambda pixels: scale * (pixels.flatten(1).unsqueeze(2) - mean) / std)


def sequential_mnist(*, root: str, download: bool = False, standardize: bool = True, scale: Scale = 1.0) -> Dataset:
    """Load MNIST, read row by row: 784 time steps of one pixel.

    Arguments are those of `gradlab.data.images.mnist`.

    Returns:
        Inputs [n, 784, 1] in float32 and ten classes.

    Raises:
        ValueError: If files are missing or cannot be downloaded.
    """
    images = mnist(root=root, download=download, standardize=standardize, scale=scale)
    return _mapped(images, lambda pixels: pixels.flatten(1).unsqueeze(2))


def permuted_mnist(
    *,
    root: str,
    download: bool = False,
    permutation_seed: Annotated[int, Ge(0)] = 0,
    standardize: bool = True,
    scale: Scale = 1.0,
) -> Dataset:
    """Load MNIST with its pixels in one random order for all images, so that neighbouring pixels are far apart in time.

    Args:
        root: Folder with the files in torchvision's layout: ``root/MNIST/raw``.
        download: Whether to download missing files.
        permutation_seed: Seed of the order, separate from the run's, so that runs of different seeds are comparable.
        standardize: Whether to standardise the pixels over the training images; otherwise they are in [0, 1].
        scale: Factor on the inputs, after standardisation.

    Returns:
        Inputs [n, 784, 1] in float32 and ten classes.

    Raises:
        ValueError: If files are missing or cannot be downloaded.
    """
    images = sequential_mnist(root=root, download=download, standardize=standardize, scale=scale)
    order = torch.randperm(images.input_shape[0], generator=torch.Generator().manual_seed(permutation_seed))
    return _mapped(images, lambda pixels: pixels[:, order])


def _mapped(data: Dataset, change: Callable[[Tensor], Tensor]) -> Dataset:
    return replace(data, train_inputs=change(data.train_inputs), test_inputs=change(data.test_inputs))
