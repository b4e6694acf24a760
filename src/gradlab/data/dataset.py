"""A data set that fits in memory."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from gradlab.data.augment import Augment, Augmented, unchanged
from gradlab.data.batches import Batches


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """Training and test samples, as whole tensors on one device.

    Attributes:
        train_inputs: Training inputs [n, *input_shape], floating.
        train_targets: Training targets: class indices [n] or, with one class per time step, [n, T], int64; or
            regression values [n, outputs], floating.
        test_inputs: Test inputs [m, *input_shape].
        test_targets: Test targets, of the shape and type of the training targets.
        outputs: Number of classes, or of values to predict.
        task: Kind of the targets, which determines the loss; ``linear`` minimizes the mean of output times target.
        ordered: Whether the training samples are used in their order, not shuffled.
        augment: Augmentation of the inputs of a training batch.
        each_step: Whether a model must return outputs for every time step of its input, as logits [n, outputs, T].
        unit: Length of 1 of the targets of a regression in their original units; not 1 if they are standardized.
        warnings: What is odd about the data, one line each.
    """

    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    outputs: int
    task: Literal["classification", "regression", "linear"]
    ordered: bool = False
    augment: Augment = unchanged
    each_step: bool = False
    unit: float = 1.0
    warnings: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the sample dimension."""
        return tuple(self.train_inputs.shape[1:])

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Dataset":
        """Return the data set on ``device``, inputs and regression values as ``dtype``, class indices as int64."""

        def move(x: Tensor) -> Tensor:
            return x.to(device, dtype if x.is_floating_point() else x.dtype)

        return replace(
            self,
            train_inputs=move(self.train_inputs),
            train_targets=move(self.train_targets),
            test_inputs=move(self.test_inputs),
            test_targets=move(self.test_targets),
        )

    def batches(self, *, batch_size: int, seed: int) -> Augmented:
        """Return endless training batches, in an order determined by ``seed``."""
        batches = Batches(self.train_inputs, self.train_targets, batch_size=batch_size, seed=seed, ordered=self.ordered)
        return Augmented(batches, self.augment, seed=seed)

    def test_batches(self, *, batch_size: int = 1024) -> Iterable[tuple[Tensor, Tensor]]:
        """Return the test set in batches."""
        return list(zip(self.test_inputs.split(batch_size), self.test_targets.split(batch_size), strict=True))
