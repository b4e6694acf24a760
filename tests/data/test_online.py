import torch

from gradlab.data.online import rare_cost


def test_one_slope_in_a_period_costs_and_the_sum_is_ten():
    data = rare_cost()
    slopes = data.train_targets.flatten()
    assert slopes[0] == 1010
    assert set(slopes[1:].tolist()) == {-10.0}
    assert slopes.sum() == 10
    assert data.ordered
    assert torch.equal(data.train_inputs, torch.ones(101, 1))
    assert rare_cost(period=3, cost=4.0, reward=1.0).train_targets.flatten().tolist() == [4, -1, -1]
