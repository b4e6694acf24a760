import pytest
import torch

from gradlab.data.synthetic import gaussian, grid, linear_regression


def test_gaussian_inputs_and_labels():
    dataset = gaussian(features=32, classes=5, samples=4096, seed=3)
    assert dataset.train_inputs.shape == (4096, 32)
    assert dataset.test_inputs.shape == (1024, 32)
    assert dataset.train_inputs.dtype == torch.float32
    assert (dataset.outputs, dataset.task) == (5, "classification")
    assert dataset.train_inputs.mean().abs() < 4 / (4096 * 32) ** 0.5
    assert dataset.train_inputs.var() == pytest.approx(1, abs=4 * (2 / (4096 * 32)) ** 0.5)
    assert dataset.train_targets.dtype == torch.int64
    assert dataset.train_targets.bincount() / 4096 == pytest.approx([0.2] * 5, abs=0.03)


@pytest.mark.parametrize("draw", [gaussian, linear_regression])
def test_a_seed_fixes_the_data(draw):
    first, again, other = draw(seed=1), draw(seed=1), draw(seed=2)
    assert torch.equal(first.train_inputs, again.train_inputs)
    assert torch.equal(first.test_targets, again.test_targets)
    assert not torch.equal(first.train_inputs, other.train_inputs)


def test_inputs_are_not_the_numbers_a_model_draws_under_the_same_seed():
    weights = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    inputs = gaussian(samples=256, seed=0).train_inputs
    correlation = (weights * inputs).mean()
    assert correlation.abs() < 4 / 256


def test_test_samples_are_fresh():
    dataset = gaussian(features=1, samples=8)
    assert not set(dataset.train_inputs.flatten().tolist()) & set(dataset.test_inputs.flatten().tolist())


def test_scale_multiplies_inputs_alone():
    small, plain = gaussian(samples=8, scale=1e-3), gaussian(samples=8)
    torch.testing.assert_close(small.train_inputs, 1e-3 * plain.train_inputs)
    assert torch.equal(small.train_targets, plain.train_targets)
    small, plain = linear_regression(scale=0.1), linear_regression()
    torch.testing.assert_close(small.test_inputs, 0.1 * plain.test_inputs)
    assert torch.equal(small.test_targets, plain.test_targets)


def test_linear_regression_is_the_line_with_its_noise():
    dataset = linear_regression(samples=10_000)
    x, y = dataset.train_inputs, dataset.train_targets
    assert x.shape == y.shape == (10_000, 1)
    assert (dataset.outputs, dataset.task, dataset.input_shape) == (1, "regression", (1,))
    design = torch.cat([x, torch.ones_like(x)], dim=1).double()
    solution = torch.linalg.lstsq(design, y.double()).solution
    assert solution.flatten().tolist() == pytest.approx([3, 2], abs=0.02)
    assert (design @ solution - y).std().item() == pytest.approx(0.5, abs=0.015)


def test_linear_regression_without_noise_is_exact():
    dataset = linear_regression(slope=-1.0, intercept=4.0, noise=0.0)
    torch.testing.assert_close(dataset.test_targets, 4 - dataset.test_inputs)


@pytest.mark.parametrize("samples", [1, 2])
def test_the_smallest_sets_have_a_test_sample(samples):
    assert len(gaussian(samples=samples).test_inputs) == 1
    assert len(linear_regression(samples=samples).test_inputs) == 1


def test_adam_finds_the_line_in_a_thousand_steps():
    dataset = linear_regression()
    torch.manual_seed(0)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(1000):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(dataset.train_inputs), dataset.train_targets)
        loss.backward()
        optimizer.step()
    assert model.weight.item() == pytest.approx(3, abs=0.2)
    assert model.bias.item() == pytest.approx(2, abs=0.2)
    assert loss.item() == pytest.approx(0.25, abs=0.1)


def test_grid_lies_in_its_order_and_asks_for_the_mean_output():
    data = grid(low=-1.0, high=3.0, samples=5, scale=2.0)
    assert data.train_inputs.flatten().tolist() == [-2, 0, 2, 4, 6]
    assert data.ordered
    assert (data.task, data.outputs) == ("linear", 1)
    assert (data.train_targets == 1).all()
    with pytest.raises(ValueError, match=r"high=1.0 must be above low=1.0"):
        grid(low=1.0, high=1.0)
