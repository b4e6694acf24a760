import pytest
import torch

from gradlab.data.dataset import Dataset
from gradlab.data.synthetic import gaussian, linear_regression


def test_to_converts_inputs_and_regression_values():
    dataset = linear_regression().to("cpu", torch.float64)
    parts = (dataset.train_inputs, dataset.train_targets, dataset.test_inputs, dataset.test_targets)
    assert all(part.dtype == torch.float64 for part in parts)
    assert isinstance(dataset, Dataset)


def test_to_keeps_class_indices():
    dataset = gaussian(samples=8, features=4).to("cpu", torch.float64)
    assert dataset.train_inputs.dtype == dataset.test_inputs.dtype == torch.float64
    assert dataset.train_targets.dtype == dataset.test_targets.dtype == torch.int64


def test_input_shape_leaves_the_samples_out():
    dataset = gaussian(samples=8, features=4)
    assert dataset.input_shape == (4,)


def test_is_frozen():
    with pytest.raises(AttributeError):
        gaussian(samples=8).outputs = 3
