import io
from itertools import chain, islice

import pytest
import torch

from gradlab.data.batches import Batches


def numbered(count, *, batch_size, seed=0):
    """Batches over samples 0, 1, ..., whose targets are ten times their inputs."""
    inputs = torch.arange(count)
    return Batches(inputs, 10 * inputs, batch_size=batch_size, seed=seed)


def drawn(batches, count):
    return [inputs.tolist() for inputs, _ in islice(batches, count)]


def test_an_epoch_draws_every_sample_at_most_once_and_drops_the_rest():
    batches = numbered(10, batch_size=3)
    assert batches.batches_per_epoch == 3
    epoch = drawn(batches, 3)
    assert [len(batch) for batch in epoch] == [3, 3, 3]
    assert len({sample for batch in epoch for sample in batch}) == 9


def test_every_epoch_has_an_order_of_its_own():
    batches = numbered(32, batch_size=8)
    first, second = (list(chain.from_iterable(drawn(batches, 4))) for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(32))
    assert first != second


def test_targets_stay_with_their_inputs():
    for inputs, targets in islice(numbered(10, batch_size=4), 5):
        assert torch.equal(targets, 10 * inputs)


@pytest.mark.parametrize("batch_size", [5, 6, 1000])
def test_a_batch_larger_than_the_set_is_the_whole_set(batch_size):
    batches = numbered(5, batch_size=batch_size)
    assert [sorted(batch) for batch in drawn(batches, 3)] == [list(range(5))] * 3
    assert batches.epoch == 3


def test_epoch_counts_passes():
    batches = numbered(9, batch_size=2)
    epochs = []
    for _ in range(6):
        epochs.append(batches.epoch)
        next(batches)
    assert epochs == [0, 0.25, 0.5, 0.75, 1, 1.25]


def test_the_seed_fixes_the_order_whatever_else_draws_numbers():
    first = drawn(numbered(20, batch_size=3, seed=4), 15)
    torch.manual_seed(99)
    batches = numbered(20, batch_size=3, seed=4)
    second = []
    for _ in range(15):
        torch.rand(3)
        second += drawn(batches, 1)
    assert first == second
    assert first != drawn(numbered(20, batch_size=3, seed=5), 15)


def test_drawing_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    drawn(numbered(20, batch_size=3), 20)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("position", range(9))
def test_a_restored_iterator_gives_the_same_batches(position):
    batches = numbered(10, batch_size=3)
    drawn(batches, position)
    file = io.BytesIO()
    torch.save(batches.state_dict(), file)
    rest = drawn(batches, 10)
    file.seek(0)

    restored = numbered(10, batch_size=3, seed=77)
    restored.load_state_dict(torch.load(file, weights_only=True))
    assert restored.epoch == position / 3
    assert drawn(restored, 10) == rest


def test_a_saved_state_does_not_change_while_the_iterator_goes_on():
    batches = numbered(10, batch_size=3)
    state = batches.state_dict()
    rest = drawn(batches, 10)
    batches.load_state_dict(state)
    assert drawn(batches, 10) == rest


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        numbered(10, batch_size=0)


def test_an_empty_or_uneven_set_is_refused():
    with pytest.raises(ValueError, match="got 0 and 0"):
        numbered(0, batch_size=1)
    with pytest.raises(ValueError, match="got 3 and 2"):
        Batches(torch.arange(3), torch.arange(2), batch_size=1, seed=0)


@pytest.mark.cuda
def test_both_devices_see_the_same_order():
    inputs = torch.arange(20)
    on_cpu = Batches(inputs, inputs, batch_size=3, seed=0)
    on_cuda = Batches(inputs.cuda(), inputs.cuda(), batch_size=3, seed=0)
    assert drawn(on_cpu, 15) == drawn(on_cuda, 15)


def test_ordered_samples_come_in_their_order_again_and_again():
    samples = torch.arange(5.0)
    batches = Batches(samples, samples, batch_size=1, seed=0, ordered=True)
    drawn = [next(batches)[0].item() for _ in range(12)]
    assert drawn == [t % 5 for t in range(12)]
    state = batches.state_dict()
    again = Batches(samples, samples, batch_size=1, seed=1, ordered=True)
    again.load_state_dict(state)
    assert next(again)[0].item() == next(batches)[0].item() == 2
