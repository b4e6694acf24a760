import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from gradlab.data.digits import digits
from gradlab.data.standardized import standardized


def test_split_and_shapes():
    dataset = digits()
    assert dataset.train_inputs.shape == (1400, 1, 8, 8)
    assert dataset.test_inputs.shape == (397, 1, 8, 8)
    assert dataset.input_shape == (1, 8, 8)
    assert (dataset.outputs, dataset.task) == (10, "classification")
    assert dataset.train_inputs.dtype == torch.float32
    assert dataset.train_targets.dtype == torch.int64
    assert dataset.train_targets.bincount(minlength=10).min() > 120
    assert dataset.test_targets.bincount(minlength=10).min() > 25


def test_split_is_the_same_every_time_and_does_not_touch_the_global_generators():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = digits()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = digits()
    assert torch.equal(first.train_inputs, second.train_inputs)
    assert torch.equal(first.test_targets, second.test_targets)


def test_split_is_the_one_that_scikit_learn_makes():
    pixels, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(pixels, labels, test_size=397, random_state=0)
    dataset = digits(standardize=False)
    assert (dataset.train_inputs.flatten(1).numpy() == train).all()
    assert (dataset.test_inputs.flatten(1).numpy() == test).all()
    assert (dataset.train_targets.numpy() == train_labels).all()
    assert (dataset.test_targets.numpy() == test_labels).all()


def test_digits_come_from_scikit_learn_itself_where_it_keeps_them_elsewhere(monkeypatch):
    expected = digits()
    monkeypatch.setattr("gradlab.data.digits._FILE", "sklearn/elsewhere.csv.gz")
    assert torch.equal(digits().train_inputs, expected.train_inputs)
    assert torch.equal(digits().test_targets, expected.test_targets)


def test_every_pixel_is_standardised_by_the_training_images():
    train = digits().train_inputs.double()
    varies = digits(standardize=False).train_inputs.std(0) > 0
    assert 50 < int(varies.sum()) < 64
    assert train.mean(0).abs().max() < 1e-6
    torch.testing.assert_close(train.std(0, correction=0)[varies], torch.ones(int(varies.sum())).double())
    assert (train[:, ~varies] == 0).all()
    assert (digits().test_inputs[:, ~varies] == 0).all()


def test_constant_features_become_zero_even_where_they_vary_in_the_test_set():
    train = torch.tensor([[0.1, 1.0], [0.1, 3.0], [0.1, 5.0]], dtype=torch.float64)
    test = torch.tensor([[9.0, 3.0]], dtype=torch.float64)
    train, test = standardized(train, test)
    assert (train[:, 0] == 0).all()
    assert test.tolist() == [[0.0, 0.0]]


def test_scale_multiplies_the_standardised_inputs():
    torch.testing.assert_close(digits(scale=1e-3).train_inputs, 1e-3 * digits().train_inputs, rtol=1e-6, atol=0)
    assert digits(standardize=False, scale=2.0).train_inputs.max() == 32
