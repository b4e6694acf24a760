"""Published sets of small images, and images of noise, from torchvision; kept in memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from gradlab.data.augment import crop_and_flip, unchanged
from gradlab.data.dataset import Dataset
from gradlab.data.pixels import fit_pixels
from gradlab.errors import one_line

Scale = Annotated[float, Gt(0)]


def mnist(*, root: str, download: bool = False, standardize: bool = True, scale: Scale = 1.0) -> Dataset:
    """Load 70,000 images of handwritten digits (LeCun et al. 1998), 60,000 of them for training.

    Args:
        root: Folder with the files in torchvision's layout: ``root/MNIST/raw``.
        download: Whether to download missing files.
        standardize: Whether to standardise the pixels over the training images; otherwise they are in [0, 1].
        scale: Factor on the inputs, after standardisation.

    Returns:
        Inputs [n, 1, 28, 28] in float32 and ten classes.

    Raises:
        ValueError: If files are missing or cannot be downloaded.
    """
    return _small_grey("MNIST", root, download=download, standardize=standardize, scale=scale)


def fashion_mnist(*, root: str, download: bool = False, standardize: bool = True, scale: Scale = 1.0) -> Dataset:
    """Load 70,000 images of articles of clothing (Xiao et al. 2017), 60,000 of them for training.

    Arguments and result are those of `mnist`; the files are in ``root/FashionMNIST/raw``.
    """
    return _small_grey("FashionMNIST", root, download=download, standardize=standardize, scale=scale)


def cifar10(
    *, root: str, download: bool = False, augment: bool = False, standardize: bool = True, scale: Scale = 1.0
) -> Dataset:
    """Load 60,000 colour photographs (Krizhevsky 2009), 50,000 of them for training.

    Args:
        root: Folder with the files in torchvision's layout: ``root/cifar-10-batches-py``.
        download: Whether to download missing files.
        augment: Whether training images are cropped and mirrored at random (`gradlab.data.augment.crop_and_flip`).
        standardize: Whether to standardise each channel over the training images; otherwise pixels are in [0, 1].
        scale: Factor on the inputs, after standardisation.

    Returns:
        Inputs [n, 3, 32, 32] in float32 and ten classes.

    Raises:
        ValueError: If files are missing or cannot be downloaded.
    """
    train, test = (
        (torch.from_numpy(part.data).permute(0, 3, 1, 2), part.targets)
        for part in _published("CIFAR10", root, download=download)
    )
    return _dataset(train, test, classes=10, augment=augment, standardize=standardize, scale=scale)


def fake_images(
    *,
    channels: Literal[1, 3] = 3,
    size: Annotated[int, Ge(1)] = 32,
    classes: Annotated[int, Ge(2)] = 10,
    samples: Annotated[int, Ge(1)] = 1024,
    seed: Annotated[int, Ge(0)] = 0,
    standardize: bool = True,
    scale: Scale = 1.0,
) -> Dataset:
    """Draw images of noise with random labels (torchvision's FakeData); the test set is a quarter as large.

    Args:
        channels: 1 for grey, 3 for colour.
        size: Height and width in pixels.
        classes: Number of classes.
        samples: Number of training images.
        seed: Seed of images and labels.
        standardize: Whether to standardise each channel over the training images; otherwise pixels are in [0, 1].
        scale: Factor on the inputs, after standardisation.
    """
    from torchvision import datasets, transforms  # here, because the import takes a second or two

    total = samples + max(1, samples // 4)
    # FakeData seeds image i with i + offset; the factor keeps sets of different seeds from sharing images
    drawn: Any = datasets.FakeData(
        total, (channels, size, size), classes, transforms.PILToTensor(), random_offset=seed * 2**28
    )
    images, labels = zip(*(drawn[i] for i in range(total)), strict=True)
    train, test = ((torch.stack(images[part]), labels[part]) for part in (slice(0, samples), slice(samples, None)))
    return _dataset(train, test, classes=classes, augment=False, standardize=standardize, scale=scale)


def _small_grey(name: str, root: str, *, download: bool, standardize: bool, scale: float) -> Dataset:
    train, test = ((part.data.unsqueeze(1), part.targets) for part in _published(name, root, download=download))
    return _dataset(train, test, classes=10, augment=False, standardize=standardize, scale=scale)


def _published(name: str, root: str, *, download: bool) -> tuple[Any, Any]:
    """Return torchvision's training and test set called ``name``."""
    from torchvision import datasets

    factory = getattr(datasets, name)
    try:
        return factory(root, train=True, download=download), factory(root, train=False, download=download)
    except (RuntimeError, OSError) as error:
        folder = Path(root).resolve()
        if download:
            raise ValueError(f"{name} could not be downloaded to {folder}: {one_line(error)}") from error
        hint = "set data.root to their folder, or data.download=true"
        raise ValueError(f"files of {name} are missing in {folder}; {hint}") from error


def _dataset(
    train: tuple[Tensor, Sequence[int] | Tensor],
    test: tuple[Tensor, Sequence[int] | Tensor],
    *,
    classes: int,
    augment: bool,
    standardize: bool,
    scale: float,
) -> Dataset:
    pixels = fit_pixels(train[0], standardize=standardize, scale=scale)
    return Dataset(
        train_inputs=pixels(train[0]),
        train_targets=torch.as_tensor(train[1], dtype=torch.int64),
        test_inputs=pixels(test[0]),
        test_targets=torch.as_tensor(test[1], dtype=torch.int64),
        outputs=classes,
        task="classification",
        augment=crop_and_flip if augment else unchanged,
    )
