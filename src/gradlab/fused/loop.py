"""The training loop of K runs at once: each run's results are those of `gradlab.train.loop.Loop`, to rounding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from gradlab.data.together import Together
from gradlab.fused.clipping import Rule, total_norms
from gradlab.fused.losses import accuracies, mean_losses
from gradlab.fused.network import write_back
from gradlab.fused.update import Update
from gradlab.probe.columns import COLUMNS
from gradlab.probe.gauge_batched import BatchedGauge
from gradlab.probe.probe import Probe
from gradlab.probe.recording import Recording, Row
from gradlab.train.loop import Loop
from gradlab.train.task import Metrics, keep_buffers, step_metrics

_UPDATE = {COLUMNS.index(name) for name in ("update_norm", "update_ratio")}
_TEST_NUMBERS = 1 << 18  # inputs that pass through the fused network at once in an evaluation: the cache's share


@dataclass(kw_only=True)
class Step:
    """What one step says of one arm.

    Attributes:
        arm: Number of the arm.
        metrics: Its metrics.
        recording: What the probe recorded of it.
    """

    arm: int
    metrics: Metrics
    recording: Recording


class FusedLoop:
    """The training of K runs as one tensor program.

    A run whose loss is not finite ends, with its own network, optimizer and schedule as they would be alone; its place
    in the tensors is emptied and computed on, and no other run's numbers change by a bit.

    Args:
        loops: The runs, built and not begun; at its end each has its own state again.
        model: Their networks as one.
        probe: Records the gradient flow in it.
        update: Updates its parameters.
        clip: The twin of the runs' clipping rule.
        thresholds: Numbers of each run's rule, [K] in float64.
    """

    def __init__(
        self,
        loops: Sequence[Loop],
        *,
        model: nn.Module,
        probe: Probe,
        update: Update,
        clip: Rule,
        thresholds: dict[str, Tensor],
    ) -> None:
        self.loops = loops
        self.step = 0
        self._model, self._probe, self._update = model, probe, update
        self._clip, self._thresholds = clip, thresholds
        self._arms = BatchedGauge(len(loops))
        self._parameters = list(model.named_parameters())
        self._batches = Together([loop.batches for loop in loops])
        self._task = loops[0].task
        self._interrupted = False

    def interrupt(self) -> None:
        """Stop after the step in progress: no run comes to its end."""
        self._interrupted = True

    @property
    def running(self) -> list[int]:
        """The arms that have not come to an end."""
        return [arm for arm, loop in enumerate(self.loops) if loop.status == "running"]

    def run(self) -> Iterator[Step]:
        """Train, and yield what each step that is recorded or evaluated says of each arm.

        An arm has come to its end where its loop's status is no longer ``running``: its loop is whole then.

        Raises:
            KeyboardInterrupt: It was asked to stop.
        """
        lead = self.loops[0]
        on_cpu = lead.device.type == "cpu"
        self._model.train()
        while self.step < lead.steps and self.running:
            if self._interrupted:
                raise KeyboardInterrupt
            step, epoch = self.step, self._batches.epoch
            inputs, targets = self._batches.next()
            recorded = self._record(step, inputs, targets)
            losses, outputs = self._pass(inputs, targets)
            finite = torch.isfinite(losses).tolist() if recorded or on_cpu else [True] * len(self.loops)
            broken = [arm for arm in self.running if not finite[arm]]
            forced = bool(broken) and not recorded
            if forced:
                self._record(step, inputs, targets, force=True)
                self._measure(inputs, targets)
            last = step == lead.steps - 1
            evaluated = lead.evaluates(step, last=last)
            told = self.running if recorded or evaluated or last else broken
            metrics = self._describe(step, epoch, outputs, targets, told) if told else {}

            self._probe.after_backward()
            if told:
                self._add(metrics, "grad_norm", self._grad_norms())
            self._clip(self._parameters, self._arms, **self._thresholds)
            self._probe.after_clipping()
            if told:
                self._add(metrics, "clipped_grad_norm", self._grad_norms())
            for arm in broken:
                self._end(arm, "diverged")
                metrics[arm] |= self.loops[arm].evaluate() if lead.eval_every else {}
            if lead.update:
                self._update.step(losses, self._batches.epoch)
                self._probe.after_update()
            else:
                self._probe.end()

            self.step += 1
            recordings = _by_arm(self._probe.take(), len(self.loops))
            for arm in broken:
                self._update.freeze(arm)
                layers = [_without_update(row) for row in recordings[arm].layers]
                recordings[arm] = recordings[arm]._replace(layers=layers)
            if evaluated:
                self._evaluate(metrics, [arm for arm in told if arm not in broken])
            for arm in set(told) - set(broken):
                if not isfinite(metrics[arm].get("eval_loss", 0.0)):
                    self._end(arm, "diverged", done=True)
                    self._update.freeze(arm)
                elif last:
                    self._end(arm, "completed", done=True)
            for arm in told:
                yield Step(arm=arm, metrics=metrics[arm], recording=recordings[arm])

    def _record(self, step: int, inputs: Tensor, targets: Tensor, *, force: bool = False) -> bool:
        recorded = self._probe.start(step, force=force)
        if recorded and self._probe.unrolls:
            self._probe.unroll(inputs, lambda outputs: self._losses(outputs, targets).sum())
        return recorded

    def _pass(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Do a forward and a backward pass and return the losses [K] and the outputs, detached."""
        for _, parameter in self._parameters:  # what zero_grad does, without walking through the modules
            parameter.grad = None
        outputs = self._model(inputs)
        losses = self._losses(outputs, targets)
        losses.sum().backward()
        return losses.detach(), outputs.detach()

    def _measure(self, inputs: Tensor, targets: Tensor) -> None:
        """Do the step's passes again for the probe to look at: no gradient is written, no running statistic updated."""
        parameters = [parameter for _, parameter in self._parameters if parameter.requires_grad]
        with keep_buffers(self._model):
            objective = self._losses(self._model(inputs), targets).sum()
            torch.autograd.grad(objective, parameters, allow_unused=True)
        self._probe.close()

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return each arm's mean loss, [K], of outputs [K * n, ...] and targets [K, n, ...]."""
        return mean_losses(self._task, outputs.unflatten(0, (self._arms.count, -1)), targets)

    def _single_losses(self, outputs: Tensor, targets: Tensor) -> list[float]:
        """Return each arm's mean loss as a run alone adds it up, to the last digit; `_losses` adds up otherwise.

        Args:
            outputs: Outputs [K, n, ...].
            targets: Targets [K, n, ...].
        """
        loss = self._task.loss
        return torch.stack([loss(own, wanted) for own, wanted in zip(outputs, targets, strict=True)]).tolist()

    def _describe(
        self, step: int, epoch: float, outputs: Tensor, targets: Tensor, told: Sequence[int]
    ) -> dict[int, Metrics]:
        split = outputs.unflatten(0, (self._arms.count, -1))
        values, right = self._single_losses(split, targets), accuracies(self._task, split, targets)
        rates = self._update.rates
        return {
            arm: step_metrics(
                step, epoch=epoch, loss=values[arm], accuracy=None if right is None else right[arm], lr=rates[arm]
            )
            for arm in told
        }

    def _grad_norms(self) -> list[float]:
        gradients = [parameter.grad for _, parameter in self._parameters if parameter.grad is not None]
        return total_norms(gradients, self._arms).tolist()

    def _add(self, metrics: dict[int, Metrics], name: str, values: Sequence[Any]) -> None:
        for arm, found in metrics.items():
            found[name] = values[arm]

    @torch.no_grad()
    def _evaluate(self, metrics: dict[int, Metrics], told: Sequence[int]) -> None:
        """Add loss and accuracy on the test set, in evaluation mode."""
        count = self._arms.count
        parts, wanted = [], []
        self._model.eval()
        for batches in zip(*(loop.test for loop in self.loops), strict=True):
            size = max(1, _TEST_NUMBERS // (count * batches[0][0][0].numel()))
            for start in range(0, len(batches[0][0]), size):
                piece = slice(start, start + size)
                outputs = self._model(torch.cat([inputs[piece] for inputs, _ in batches]))
                parts.append(outputs.unflatten(0, (count, -1)))
                wanted.append(torch.stack([targets[piece] for _, targets in batches]))
        self._model.train()
        outputs, targets = torch.cat(parts, 1), torch.cat(wanted, 1)
        self._add({arm: metrics[arm] for arm in told}, "eval_loss", self._single_losses(outputs, targets))
        if (right := accuracies(self._task, outputs, targets)) is not None:
            self._add({arm: metrics[arm] for arm in told}, "eval_accuracy", right)

    def _end(self, arm: int, status: str, *, done: bool = False) -> None:
        """Give an arm its own state back, once it has come to its end; ``done`` is whether the step counts already."""
        loop = self.loops[arm]
        loop.step = self.step if done else self.step + 1
        loop.status = status
        write_back(self._model, loop.model, arm)
        self._update.settle(arm)


def _by_arm(recording: Recording, count: int) -> list[Recording]:
    """Return each run's recording, given one in which a figure is a list [K]."""
    return [
        Recording(*([tuple(v[arm] if isinstance(v, list) else v for v in row) for row in rows] for rows in recording))
        for arm in range(count)
    ]


def _without_update(row: Row) -> Row:
    """Return a row of an arm that was not updated in this step."""
    return tuple(None if place in _UPDATE else value for place, value in enumerate(row))
