"""The suggestion of a range test, on problems whose largest stable learning rate is known."""

from itertools import product
from math import inf, nan

import pytest
import torch

from gradlab.errors import GradlabError
from gradlab.optim.range_test import Rising, smooth, suggest


def range_test(curvatures, *, momentum, steps, noise=0.0, start=None):
    """Minimize 1/2 sum lambda_i w_i^2, with noise in the gradient, under a rising learning rate."""
    generator = torch.Generator().manual_seed(0)
    curvatures = torch.tensor(curvatures, dtype=torch.float64)
    weights = torch.nn.Parameter(torch.ones_like(curvatures) if start is None else torch.tensor(start).double())
    optimizer = torch.optim.SGD([weights], lr=1.0, momentum=momentum)
    rising = Rising(optimizer, lowest=1e-6, highest=10.0, steps=steps, stop=4.0)
    while len(rising.rates) < steps and not rising.blew_up:
        loss = 0.5 * (curvatures * weights**2).sum()
        optimizer.zero_grad()
        loss.backward()
        weights.grad += noise * curvatures.sqrt() * torch.randn(curvatures.shape, generator=generator).double()
        optimizer.step()
        rising.observe(loss.detach(), 0.0)
        rising.step()
    return rising


SPECTRA = [(1.0,), (1.0, 0.1), (1.0, 1e-3), (1.0, 0.3, 0.03, 0.003)]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e2, 1e4])
def test_on_a_quadratic_the_suggestion_is_stable(momentum, scale):
    for spectrum, noise, steps in product(SPECTRA, (0.0, 0.1), (100, 300)):
        rising = range_test([scale * value for value in spectrum], momentum=momentum, steps=steps, noise=noise)
        found = suggest(rising.rates, rising.losses)
        edge = 2 * (1 + momentum) / scale  # Polyak 1964
        assert found is not None, (spectrum, noise, steps)
        assert found.rate < min(edge, 10), (spectrum, noise, steps)
        assert found.rate > 1e-4 * edge, (spectrum, noise, steps)


def test_a_direction_that_has_to_grow_back_is_allowed_for():
    """Nothing of the steepest direction is in the loss until it has grown again far past the edge."""
    rising = range_test([100.0, 0.1], momentum=0.0, steps=300, start=[1e-5, 10.0])
    assert rising.blew_up
    assert min(zip(rising.losses, rising.rates, strict=True))[1] > 6 * 2 / 100  # so the lowest loss alone misleads
    found = suggest(rising.rates, rising.losses)
    assert found is not None
    assert found.rate < 2 / 100


def test_the_rates_rise_by_one_factor():
    rising = range_test([1e-6], momentum=0.0, steps=8)
    assert rising.rates[0] == pytest.approx(1e-6)
    assert rising.rates[-1] == pytest.approx(10)
    ratios = [later / rate for rate, later in zip(rising.rates, rising.rates[1:], strict=False)]
    assert ratios == pytest.approx([10.0] * 7)
    assert not rising.blew_up


NOISE = (2.3 + 0.1 * torch.randn(200, generator=torch.Generator().manual_seed(1))).tolist()


@pytest.mark.parametrize("losses", [[1.0, 1.1, 1.3, 2.0, 9.0], [nan, nan], [inf], [2.0] * 50, NOISE])
def test_a_loss_that_does_not_fall_suggests_nothing(losses):
    assert suggest([10.0**i for i in range(-len(losses), 0)], losses) is None


def test_a_loss_that_breaks_at_once_at_the_end_still_suggests():
    found = suggest([1e-3 * 1.1**i for i in range(40)], [2.0 - 0.05 * i for i in range(38)] + [1e30, nan])
    assert found is not None
    assert 0 < found.rate < 0.02


def test_at_most_a_twelfth_of_the_last_rate_is_suggested():
    """The loss falls to the very end, so half the rate of the lowest loss would be far more."""
    rates = [12.0 * 1.1 ** (i - 99) for i in range(100)]
    found = suggest(rates, [2.0 - 0.01 * i for i in range(100)])
    assert found is not None
    assert found.lowest_at > 2.0
    assert found.rate == 1.0


def test_half_the_rate_of_the_lowest_loss_is_suggested_where_that_is_less():
    """A valley whose floor is flat from step 40 to 60; the first 6 losses are 4.75 on average, so the fall is 3.75."""
    rates = [1.1**i for i in range(101)]
    found = suggest(rates, [max(1.0, 5.0 - 0.1 * i, 0.1 * i - 5.0) for i in range(101)])
    assert found is not None
    # 5% of the fall are 0.1875; the mean of 11 losses is 1 + 2.1 / 11 = 1.191 at step 39 and 1 + 1.5 / 11 = 1.136 at 40
    assert found.lowest_at == pytest.approx(1.1**40)
    assert found.rate == pytest.approx(1.1**40 / 2, rel=5e-3)


@pytest.mark.parametrize(("errors", "suggested"), [(3.5, False), (3.9, False), (4.1, True), (5.0, True)])
def test_a_fall_must_be_four_standard_errors(errors, suggested):
    """Losses that alternate by 1 about 10 have a von Neumann noise of sqrt(2), their mean of 11 sqrt(2 / 11)."""
    losses = [10.0 + (-1) ** i for i in range(12)] + [10.0 - errors * (2 / 11) ** 0.5] * 60
    found = suggest([1e-5 * 1.2**i for i in range(len(losses))], losses)
    assert (found is not None) is suggested


def test_smoothing_shifts_nothing():
    assert smooth([1.0, 2, 3, 4, 5]) == pytest.approx([1, 2, 3, 4, 5])
    assert smooth([0.0] * 10 + [11.0] + [0.0] * 10) == pytest.approx([0] * 5 + [1] * 11 + [0] * 5)


def test_negative_losses_may_fall_for_ever():
    """The stop compares with the size of the lowest loss, not with four times a negative number."""
    rising = Rising(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))]), lowest=1e-3, highest=1.0, steps=20, stop=4.0)
    for loss in (0.0, -1.0, -2.0, -3.0, -2.5):
        rising.observe(loss, 0.0)
    assert not rising.blew_up
    rising.observe(100.0, 0.0)
    assert rising.blew_up


def test_what_cannot_be_tested_is_refused():
    weights = [torch.nn.Parameter(torch.ones(1))]
    with pytest.raises(GradlabError, match="Rprop adapts a step size for each weight"):
        Rising(torch.optim.Rprop(weights), lowest=1e-3, highest=1.0, steps=20, stop=4.0)
    with pytest.raises(GradlabError, match=r"lr_range.highest must be above lr_range.lowest, 1.0; got 0.5"):
        Rising(torch.optim.SGD(weights), lowest=1.0, highest=0.5, steps=20, stop=4.0)
