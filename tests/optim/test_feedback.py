import pytest
import torch

from gradlab.optim.feedback import LossRestart, Plateau


def rates(make, losses, *, batches_per_epoch=1):
    """Learning rate, from 1.0, after each observed loss."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    found = []
    for t, loss in enumerate(losses, start=1):
        scheduler.observe(torch.tensor(float(loss)), t / batches_per_epoch)
        scheduler.step()
        found.append(optimizer.param_groups[0]["lr"])
    return found


def plateau(optimizer):
    return Plateau(optimizer, factor=0.5, patience=3, threshold=1e-4, cooldown=0, min_lr=0.0)


def test_plateau_under_a_constant_loss_drops_after_epochs_5_9_and_13():
    found = [1.0, *rates(plateau, [0.7] * 14)]
    assert [epoch for epoch in range(1, 15) if found[epoch] < found[epoch - 1]] == [5, 9, 13]
    assert found[-1] == 1 / 8


def test_plateau_judges_the_mean_of_an_epoch():
    """Batch losses jump up and down; only their mean over the three batches of an epoch counts."""
    falling, constant = [3.0, 2.9, 2.8, 2.7, 2.6, 2.5, 2.4], [2.4] * 5
    found = rates(plateau, [mean + jump for mean in falling + constant for jump in (1, -2, 1)], batches_per_epoch=3)
    assert set(found[: 3 * 11 - 1]) == {1.0}
    assert found[3 * 11 - 1] == 0.5  # four epochs after the last fall, at the end of the epoch


def test_plateau_stops_at_its_least_rate():
    found = rates(
        lambda optimizer: Plateau(optimizer, factor=0.1, patience=0, threshold=0.0, cooldown=0, min_lr=0.05), [1.0] * 5
    )
    assert found[-1] == 0.05


def test_loss_restart_resets_the_rate_and_decays_again():
    found = rates(
        lambda optimizer: LossRestart(optimizer, threshold=0.5, total_iters=10, power=2.0),
        [2.0, 1.0, 0.6, 0.5, 0.4, 0.3, 0.7, 0.45, 0.4],
    )
    decay = [(1 - t / 10) ** 2 for t in range(11)]
    assert found == pytest.approx([*decay[1:4], *decay[0:4], *decay[0:2]])


def test_loss_restart_without_a_fall_is_the_polynomial_and_ends_at_zero():
    found = rates(lambda optimizer: LossRestart(optimizer, threshold=0.5, total_iters=4, power=1.0), [1.0] * 6)
    assert found == pytest.approx([0.75, 0.5, 0.25, 0, 0, 0])
