"""The training loop, and what it needs to know of a task."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradlab.norms import total_norm
from gradlab.probe.probe import Probe
from gradlab.supervision import Supervised

Metrics = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is asked of the model: a loss, the mean over the batch, and for classes an accuracy.

    Attributes:
        loss: Maps outputs [n, k] and targets [n] or [n, k] to a 0-d tensor.
        accuracy: Maps the same to a 0-d tensor in [0, 1], or is None.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    accuracy: Callable[[Tensor, Tensor], Tensor] | None


TASKS = {
    "classification": Task(
        loss=F.cross_entropy, accuracy=lambda outputs, targets: (outputs.argmax(1) == targets).double().mean()
    ),
    "regression": Task(loss=F.mse_loss, accuracy=None),
    "linear": Task(loss=lambda outputs, targets: (outputs * targets).mean(), accuracy=None),
}


@dataclass(kw_only=True)
class Loop:
    """A training run: built objects in, a stream of metrics out.

    Attributes:
        model: What is trained.
        batches: Iterator of (inputs, targets) with an ``epoch``.
        test: Batches of (inputs, targets) to evaluate on.
        task: Loss and accuracy.
        optimizer: Updates the model's parameters.
        lr_scheduler: Stepped after each update; before that, one that defines ``observe(loss, epoch)`` is shown the
            step's loss, 0-d, and the passes over the training set done by then.
        clip: Called with the named parameters between backward pass and update.
        probe: Records the gradient flow.
        steps: Number of steps.
        update: Whether the optimizer's update is applied.
        eval_every: Steps between evaluations; 0 for never, not even at the end.
        step: Number of the step in progress; after the run, how many were done.
        status: ``running``, then ``completed``, ``interrupted`` or, once a loss was not finite, ``diverged``.
    """

    model: nn.Module
    batches: Any
    test: Iterable[tuple[Tensor, Tensor]]
    task: Task
    optimizer: torch.optim.Optimizer
    lr_scheduler: Any
    clip: Callable[[list[tuple[str, nn.Parameter]]], None]
    probe: Probe
    steps: int
    update: bool
    eval_every: int
    step: int = 0
    status: str = "running"
    _parameters: list[tuple[str, nn.Parameter]] = field(init=False)
    _observe: Callable[[Tensor, float], None] = field(init=False)

    def __post_init__(self) -> None:
        self._parameters = list(self.model.named_parameters())
        self._observe = getattr(self.lr_scheduler, "observe", lambda loss, epoch: None)

    @property
    def device(self) -> torch.device:
        """Where the model's parameters are."""
        return self._parameters[0][1].device

    def run(self) -> Iterator[Metrics]:
        """Train, and yield the metrics of each step that is recorded or evaluated.

        A loss that is not finite ends the run: that step is recorded, by a second pass where the first was not. To look
        at the loss makes the host wait for a GPU, so there it is looked at in recorded steps only.
        """
        self.model.train()
        on_cpu = self.device.type == "cpu"
        while self.step < self.steps and self.status == "running":
            step, epoch = self.step, self.batches.epoch
            inputs, targets = next(self.batches)
            recorded = self.probe.start(step)
            random = torch.get_rng_state() if on_cpu else None
            outputs, loss, objective = self._forward(inputs, targets)
            if (recorded or on_cpu) and not isfinite(float(objective.detach())):
                self.status = "diverged"
                if not recorded:
                    recorded = self.probe.start(step, force=True)
                    outputs, loss, objective = self._repeat(inputs, targets, random)
            last = step == self.steps - 1 or self.status == "diverged"
            evaluated = self.eval_every > 0 and (step % self.eval_every == 0 or last)
            described = recorded or evaluated or last
            metrics = self._describe(step, epoch, loss, outputs, targets) if described else None

            self.optimizer.zero_grad()
            objective.backward()
            self.probe.after_backward()
            if metrics is not None:
                metrics["grad_norm"] = self._grad_norm()
            self.clip(self._parameters)
            self.probe.after_clipping()
            if metrics is not None:
                metrics["clipped_grad_norm"] = self._grad_norm()
            if self.update and self.status != "diverged":
                self.optimizer.step()
                self._observe(loss.detach(), self.batches.epoch)
                self.lr_scheduler.step()
                self.probe.after_update()
            else:
                self.probe.end()

            self.step += 1
            if metrics is not None:
                metrics |= self.evaluate() if evaluated else {}
                if not isfinite(metrics.get("eval_loss", 0.0)):
                    self.status = "diverged"
                yield metrics
        if self.status == "running":
            self.status = "completed"

    def interrupt(self) -> None:
        """End the run after the step in progress."""
        self.status = "interrupted"

    def _repeat(self, inputs: Tensor, targets: Tensor, random: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Do the forward pass again, with the same random numbers and without a second update of running statistics."""
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        if random is not None:
            torch.set_rng_state(random)
        again = self._forward(inputs, targets)
        for buffer, old in zip(self.model.buffers(), buffers, strict=True):
            buffer.data.copy_(old)
        return again

    def _forward(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs, their loss, and the loss to train on, which includes that of auxiliary heads."""
        self.probe.unroll(inputs, lambda outputs: self.task.loss(outputs, targets))
        found = self.model(inputs)
        if not isinstance(found, Supervised):
            loss = self.task.loss(found, targets)
            return found, loss, loss
        loss = self.task.loss(found.outputs, targets)
        heads = {name: self.task.loss(outputs, targets) for name, outputs in found.auxiliary.items()}
        self.probe.read_shares(loss, heads, weight=found.weight)
        return found.outputs, loss, loss + found.weight * torch.stack(list(heads.values())).sum()

    @torch.no_grad()
    def evaluate(self) -> Metrics:
        """Return loss and accuracy on the test set, in evaluation mode, with the parameters as they are."""
        self.model.eval()
        parts = [(self.model(inputs), targets) for inputs, targets in self.test]
        self.model.train()
        outputs, targets = (torch.cat(column) for column in zip(*parts, strict=True))
        metrics = {"eval_loss": float(self.task.loss(outputs, targets))}
        if self.task.accuracy is not None:
            metrics["eval_accuracy"] = float(self.task.accuracy(outputs, targets))
        return metrics

    def _describe(self, step: int, epoch: float, loss: Tensor, outputs: Tensor, targets: Tensor) -> Metrics:
        accuracy = self.task.accuracy
        return {
            "step": step,
            "epoch": epoch,
            "train_loss": float(loss.detach()),
            "train_accuracy": None if accuracy is None else float(accuracy(outputs.detach(), targets)),
            "lr": float(self.optimizer.param_groups[0]["lr"]),
        }

    def _grad_norm(self) -> float:
        return float(total_norm(p.grad for _, p in self._parameters if p.grad is not None))
