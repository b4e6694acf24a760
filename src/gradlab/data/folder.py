"""Images in one folder per class: kept in memory if they fit, otherwise read on demand."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from gradlab.data.augment import Augment, Augmented, crop_and_flip, unchanged
from gradlab.data.batches import Stream, loader
from gradlab.data.dataset import Dataset
from gradlab.data.pixels import Pixels, fit_pixels

FITTED = 512  # number of training images, evenly spaced, from which the standardisation is computed


@dataclass(frozen=True, eq=False, kw_only=True)
class Streamed:
    """A data set read on demand, with the interface of `Dataset`.

    Attributes:
        train: Sequence of training samples (uint8 tensor [*input_shape], class index).
        test: Sequence of test samples.
        input_shape: Shape of one input.
        outputs: Number of classes.
        pixels: Converts bytes to inputs.
        augment: Augmentation of training inputs.
        workers: Number of processes that read ahead; 0 reads in the main process.
        device: Device of the batches.
        dtype: Number type of the inputs.
    """

    train: Any
    test: Any
    input_shape: tuple[int, ...]
    outputs: int
    pixels: Pixels
    augment: Augment
    workers: int
    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32
    task: ClassVar[Literal["classification"]] = "classification"
    each_step: ClassVar[bool] = False

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Streamed":
        """Return the data set with batches on ``device`` and inputs as ``dtype``."""
        return replace(self, device=device, dtype=dtype)

    def batches(self, *, batch_size: int, seed: int) -> Augmented:
        """Return endless training batches, in an order determined by ``seed``."""
        stream = Stream(self.train, batch_size=batch_size, seed=seed, prepare=self._prepare, **self._loading())
        return Augmented(stream, self.augment, seed=seed)

    def test_batches(self, *, batch_size: int = 256) -> Iterable[tuple[Tensor, Tensor]]:
        """Return the test set in batches; every iteration reads the files again."""
        return _Prepared(loader(self.test, batch_size=batch_size, **self._loading()), self._prepare)

    def _prepare(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        images, labels = (x.to(self.device, non_blocking=True) for x in (images, labels))
        return self.pixels(images).to(self.dtype), labels

    def _loading(self) -> dict[str, Any]:
        return {"num_workers": self.workers, "pin_memory": torch.device(self.device).type == "cuda"}


@dataclass(frozen=True)
class _Prepared:
    batches: Iterable[Any]
    prepare: Any

    def __iter__(self) -> Any:
        return (self.prepare(*batch) for batch in self.batches)


def image_folder(
    *,
    root: str,
    train: str = "train",
    test: str = "test",
    size: Annotated[int, Ge(1)] = 64,
    augment: bool = False,
    standardize: bool = True,
    scale: Annotated[float, Gt(0)] = 1.0,
    memory: Annotated[float, Ge(0)] = 2.0,
    workers: Annotated[int, Ge(0)] = 2,
) -> Dataset | Streamed:
    """Read a folder of your own images: ``root/train/CLASS/*.png`` and ``root/test/CLASS/*.png`` (or jpg, webp …).

    Args:
        root: The folder.
        train: Sub-folder of the training images.
        test: Sub-folder of the test images, with the same classes.
        size: Length in pixels to which the shorter side is scaled; the central square of that size is used.
        augment: Whether training images are cropped and mirrored at random.
        standardize: Whether to standardise each channel over 512 training images; otherwise pixels are in [0, 1].
        scale: Factor on the inputs, after standardisation.
        memory: Largest size in GiB, as float32, of a set that is kept in memory; a larger one is read on demand.
        workers: Number of processes that read on demand.

    Returns:
        Inputs [n, 3, size, size] and the classes in alphabetical order.

    Raises:
        ValueError: If a folder is missing or has no images in class folders, or the classes differ.
    """
    parts = [_read(Path(root, part), size) for part in (train, test)]
    if parts[0].classes != parts[1].classes:
        raise ValueError(f"{parts[0].root} and {parts[1].root} must have the same class folders")
    count = len(parts[0])
    # evenly spaced, because the images are sorted by class
    fitted = torch.stack([parts[0][i * count // min(count, FITTED)][0] for i in range(min(count, FITTED))])
    streamed = Streamed(
        train=parts[0],
        test=parts[1],
        input_shape=(3, size, size),
        outputs=len(parts[0].classes),
        pixels=fit_pixels(fitted, standardize=standardize, scale=scale),
        augment=crop_and_flip if augment else unchanged,
        workers=workers,
    )
    gibibytes = sum(len(part) for part in parts) * 3 * size**2 * 4 / 2**30
    return streamed if gibibytes > memory else _in_memory(streamed)


def _in_memory(streamed: Streamed) -> Dataset:
    """Read a streamed set into memory."""
    halves = []
    for samples in (streamed.train, streamed.test):
        images, labels = zip(*samples, strict=True)
        halves.append((streamed.pixels(torch.stack(images)), torch.tensor(labels)))
    (train_inputs, train_targets), (test_inputs, test_targets) = halves
    return Dataset(
        train_inputs=train_inputs,
        train_targets=train_targets,
        test_inputs=test_inputs,
        test_targets=test_targets,
        outputs=streamed.outputs,
        task=streamed.task,
        augment=streamed.augment,
    )


def _read(folder: Path, size: int) -> Any:
    """Return torchvision's ImageFolder, with images as bytes."""
    from torchvision import datasets, transforms  # here, because the import takes a second or two

    square = transforms.Compose([transforms.Resize(size), transforms.CenterCrop(size), transforms.PILToTensor()])
    try:
        return datasets.ImageFolder(folder, square)
    except OSError as error:
        layout = "put the images in one folder per class, such as data.root/train/cat/1.png"
        raise ValueError(f"no images in {folder.resolve()}; {layout}") from error
