"""Losses and accuracies of K fused runs against those of each run's own task."""

import pytest
import torch

from gradlab.fused.losses import accuracies, mean_losses
from gradlab.train.task import TASKS

RUNS, SAMPLES, CLASSES, TIMES = 3, 5, 4, 6


def answers(name: str, *, each_step: bool) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    times = (TIMES,) if each_step else ()
    outputs = torch.randn(RUNS, SAMPLES, CLASSES, *times, generator=generator, requires_grad=True)
    if name == "classification":
        return outputs, torch.randint(CLASSES, (RUNS, SAMPLES, *times), generator=generator)
    return outputs, torch.randn(RUNS, SAMPLES, CLASSES, *times, generator=generator)


@pytest.mark.parametrize("each_step", [False, True])
@pytest.mark.parametrize("name", TASKS)
def test_each_run_has_the_loss_the_gradient_and_the_accuracy_that_it_has_alone(name, each_step):
    task = TASKS[name]
    outputs, targets = answers(name, each_step=each_step)
    alone = torch.stack([task.loss(own, target) for own, target in zip(outputs, targets, strict=True)])
    together = mean_losses(task, outputs, targets)
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-7)
    gradients = [torch.autograd.grad(losses.sum(), outputs)[0] for losses in (together, alone)]
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-8)
    right = [task.accuracy(own, target) for own, target in zip(outputs, targets, strict=True)]
    assert accuracies(task, outputs, targets) == (right if name == "classification" else None)
