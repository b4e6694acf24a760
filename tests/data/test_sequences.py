import io
from itertools import islice
from math import log

import pytest
import torch
from tests.support.tiny_images import samples, write_mnist
from torch.nn import functional as F

from gradlab.config.paths import CONFIGS
from gradlab.data.pixel_sequences import permuted_mnist, sequential_digits, sequential_mnist
from gradlab.data.sequences import adding, copy_memory

KINDS = [adding, copy_memory]


def test_set(data):
    return [torch.cat(column) for column in zip(*data.test_batches(), strict=True)]


test_set.__test__ = False


@pytest.mark.parametrize("length", [2, 7, 100])
def test_adding_marks_one_number_in_each_half_and_adds_them(length):
    data = adding(length=length, seed=3)
    assert (data.input_shape, data.outputs, data.task, data.each_step) == ((length, 2), 1, "regression", False)
    for inputs, targets in [test_set(data), next(data.batches(batch_size=500, seed=1))]:
        values, markers = inputs.unbind(2)
        half = length // 2
        assert set(markers.unique().tolist()) <= {0.0, 1.0}
        assert (markers[:, :half].sum(1) == 1).all()
        assert (markers[:, half:].sum(1) == 1).all()
        assert 0 <= values.min() < values.max() < 1
        torch.testing.assert_close(targets, (values * markers).sum(1, keepdim=True))


def test_every_place_of_the_adding_problem_is_marked_as_often():
    inputs, _ = next(adding(length=11).batches(batch_size=60_000, seed=0))
    share = inputs[:, :, 1].mean(0)
    torch.testing.assert_close(share, torch.tensor([1 / 5] * 5 + [1 / 6] * 6), atol=0.01, rtol=0)


def test_always_predicting_1_costs_a_sixth():
    _, targets = next(adding(length=10).batches(batch_size=200_000, seed=0))
    assert F.mse_loss(torch.ones_like(targets), targets).item() == pytest.approx(1 / 6, abs=2e-3)


@pytest.mark.parametrize("length", [1, 50])
def test_copy_memory_is_laid_out_as_published(length):
    data = copy_memory(length=length)
    assert (data.input_shape, data.outputs, data.each_step) == ((length + 20, 10), 9, True)
    inputs, targets = next(data.batches(batch_size=300, seed=0))
    assert inputs.dtype == torch.float32
    assert targets.dtype == torch.int64
    assert (inputs.sum(2) == 1).all()
    for shown, wanted in zip(inputs.argmax(2).tolist(), targets.tolist(), strict=True):
        symbols = shown[:10]
        assert set(symbols) <= set(range(8))
        assert shown[10:] == [8] * (length - 1) + [9] + [8] * 10
        assert wanted == [8] * (length + 10) + symbols
    assert (inputs.argmax(2)[:, :10].flatten().bincount() / 3000).tolist() == pytest.approx([1 / 8] * 8, abs=0.03)


@pytest.mark.parametrize("length", [10, 50])
def test_without_memory_copying_costs_ten_ln_8_over_the_time_steps(length):
    _, targets = next(copy_memory(length=length).batches(batch_size=20, seed=0))
    logits = torch.full((20, 9, length + 20), -torch.inf)
    logits[:, 8, : length + 10] = 0
    logits[:, :8, length + 10 :] = 0
    cost = F.cross_entropy(logits, targets).item()
    assert cost == pytest.approx(10 * log(8) / (length + 20), rel=1e-6)
    assert length != 50 or cost == pytest.approx(0.29706, abs=5e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_always_new_and_follow_their_seed(kind):
    def drawn(seed, count=3):
        return [inputs for inputs, _ in islice(kind(length=30).batches(batch_size=4, seed=seed), count)]

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert all(torch.equal(x, y) for x, y in zip(first, again, strict=True))
    assert not any(torch.equal(x, y) for x, y in zip(first, other, strict=True))
    rows = torch.cat(first).flatten(1)
    assert len(rows.unique(dim=0)) == 12


@pytest.mark.parametrize("kind", KINDS)
def test_the_test_set_follows_the_data_seed_and_is_none_of_the_training_samples(kind):
    data = kind(length=5, seed=0, test_samples=40)
    assert torch.equal(test_set(data)[0], test_set(kind(length=5, seed=0, test_samples=40))[0])
    assert not torch.equal(test_set(data)[0], test_set(kind(length=5, seed=1, test_samples=40))[0])
    assert not torch.equal(test_set(data)[0], next(data.batches(batch_size=40, seed=0))[0])
    assert len(data.test_batches(batch_size=16)) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_restored_stream_goes_on_with_the_same_samples(kind):
    batches = kind(length=6, epoch_samples=20).batches(batch_size=5, seed=0)
    list(islice(batches, 3))
    file = io.BytesIO()
    torch.save(batches.state_dict(), file)
    rest = [next(batches) for _ in range(4)]
    assert batches.epoch == 7 * 5 / 20
    file.seek(0)
    restored = kind(length=6, epoch_samples=20).batches(batch_size=5, seed=9)
    restored.load_state_dict(torch.load(file, weights_only=True))
    assert restored.epoch == 0.75
    for wanted in rest:
        assert all(torch.equal(x, y) for x, y in zip(next(restored), wanted, strict=True))


def test_drawing_leaves_the_global_random_numbers_alone_and_dtypes_are_kept():
    before = torch.get_rng_state()
    for kind in KINDS:
        data = kind(length=4).to("cpu", torch.float64)
        for inputs, targets in [next(data.batches(batch_size=2, seed=0)), data.test_batches()[0]]:
            assert inputs.dtype == torch.float64
            assert targets.dtype == (torch.int64 if kind is copy_memory else torch.float64)
    assert torch.equal(torch.get_rng_state(), before)


def test_inputs_are_not_the_numbers_a_model_draws_under_the_same_seed():
    drawn = torch.rand(50, 100, generator=torch.Generator().manual_seed(0))
    (inputs, _), (tested, _) = next(adding().batches(batch_size=50, seed=0)), adding().test_batches()[0]
    for values in (inputs[:, :, 0], tested[:50, :, 0]):
        correlation = torch.corrcoef(torch.stack([drawn.flatten(), values.flatten()]))[0, 1]
        assert correlation.abs() < 4 / 5000**0.5


@pytest.mark.parametrize("kind", KINDS)
def test_the_scale_is_a_factor_on_the_inputs_alone(kind):
    (plain, targets), (scaled, same) = (next(kind(scale=k).batches(batch_size=9, seed=0)) for k in (1.0, 3.0))
    torch.testing.assert_close(scaled, 3 * plain)
    assert torch.equal(targets, same)


def test_every_data_option_has_a_scale():
    """But for rare_cost, whose inputs are no data."""
    lacking = {path.stem for path in (CONFIGS / "data").glob("*.yaml") if "\nscale: " not in path.read_text()}
    assert lacking == {"rare_cost"}


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        adding().batches(batch_size=0, seed=0)


def test_digits_are_read_row_by_row():
    from sklearn.datasets import load_digits

    data = sequential_digits(standardize=False)
    assert (data.input_shape, data.outputs, len(data.train_inputs)) == ((64, 1), 10, 1400)
    known = {tuple(row): label for row, label in zip(*load_digits(return_X_y=True), strict=True)}
    assert [known[tuple(row)] for row in data.test_inputs.squeeze(2).tolist()] == data.test_targets.tolist()
    standardised = sequential_digits(scale=3.0).train_inputs
    assert standardised.mean().item() == pytest.approx(0, abs=1e-5)
    assert standardised.std(correction=0).item() == pytest.approx(3, abs=1e-5)
    raw = data.train_inputs
    torch.testing.assert_close(standardised, 3 * (raw - raw.mean()) / raw.std(correction=0))


def test_mnist_is_read_row_by_row_or_in_one_order_for_all(tmp_path):
    write_mnist(tmp_path)
    pixels, labels = samples("train", (28, 28))
    plain = sequential_mnist(root=str(tmp_path), standardize=False)
    assert plain.input_shape == (784, 1)
    torch.testing.assert_close(plain.train_inputs.squeeze(2), torch.from_numpy(pixels).reshape(-1, 784) / 255)
    assert plain.train_targets.tolist() == labels.tolist()

    permuted, again, other = (
        permuted_mnist(root=str(tmp_path), standardize=False, permutation_seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(permuted.train_inputs, again.train_inputs)
    assert not torch.equal(permuted.train_inputs, other.train_inputs)
    order = torch.randperm(784, generator=torch.Generator().manual_seed(0))
    for part in ("train_inputs", "test_inputs"):
        assert torch.equal(getattr(permuted, part), getattr(plain, part)[:, order])


@pytest.mark.parametrize("kind", [sequential_mnist, permuted_mnist])
def test_missing_files_are_reported_with_folder_and_flag(tmp_path, kind):
    with pytest.raises(ValueError, match=rf"are missing in {tmp_path}; .*data.download=true"):
        kind(root=str(tmp_path))
