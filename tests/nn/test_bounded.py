import torch
from torch import nn

from gradlab.nn.bounded import BoundedLinear


def test_weights_are_projected_to_the_box():
    model = BoundedLinear(
        input_shape=(2,), outputs=1, bound=0.5, initializer=lambda layer, activation: nn.init.zeros_(layer.weight)
    )
    with torch.no_grad():
        model.head.weight.copy_(torch.tensor([[3.0, -0.25]]))
    assert model(torch.tensor([[1.0, 2.0]])).item() == 0.5 - 0.5
    assert model.head.weight.tolist() == [[0.5, -0.25]]
    assert model.head.bias is None


def test_the_recorded_weights_are_projected_and_the_recorded_update_is_not(run):
    done = run("model=bounded", "model.bound=0.01", "optimizer.lr=1", "train.steps=6", "probe.every=1")
    largest = 0.01 * 640**0.5  # 64 inputs, 10 outputs
    assert done.gradients.weight_norm.max() <= largest * (1 + 1e-6)
    assert done.gradients.update_norm.min() > largest
