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
_TEST_NUMBERS = 1 << 18  # numbers in one evaluation batch of the fused network: more would not stay in the cache


@dataclass(kw_only=True)
class Step:
    """The results of one step for one run.

    Attributes:
        run: Number of the run.
        metrics: Its metrics.
        recording: The rows that the probe recorded for it.
    """

    run: int
    metrics: Metrics
    recording: Recording


class FusedLoop:
    """The training of K runs as one tensor program.

    A run whose loss is not finite ends; its own network, optimizer and schedule then have the state of a single run.
    Its place in the tensors is set to zero and still computed, so that the shapes stay: no bit of another run changes.

    Args:
        loops: The runs, built, before their first step; each has its own state again when it ends.
        model: Their networks as one.
        probe: Records the gradient flow in the fused network.
        update: Updates its parameters.
        clip: The batched version of the runs' clipping rule.
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
        self._gauge = BatchedGauge(len(loops))
        self._parameters = list(model.named_parameters())
        self._batches = Together([loop.batches for loop in loops])
        self._task = loops[0].task
        self._interrupted = False

    def interrupt(self) -> None:
        """Stop after the step in progress; the runs that are not finished stay so."""
        self._interrupted = True

    @property
    def running(self) -> list[int]:
        """The numbers of the runs that are not finished."""
        return [run for run, loop in enumerate(self.loops) if loop.status == "running"]

    def run(self) -> Iterator[Step]:
        """Train, and yield a `Step` for each run after each step that is recorded or evaluated, and after its last.

        A run is finished when its loop's status is no longer ``running``; the loop then has its final state.

        Raises:
            KeyboardInterrupt: `interrupt` was called.
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
            broken = [run for run in self.running if not finite[run]]
            forced = bool(broken) and not recorded
            if forced:
                self._record(step, inputs, targets, force=True)
                self._measure(inputs, targets)
            last = step == lead.steps - 1
            evaluated = lead.evaluates(step, last=last)
            reported = self.running if recorded or evaluated or last else broken
            metrics = self._describe(step, epoch, outputs, targets, reported) if reported else {}

            self._probe.after_backward()
            if reported:
                self._add(metrics, "grad_norm", self._grad_norms())
            self._clip(self._parameters, self._gauge, **self._thresholds)
            self._probe.after_clipping()
            if reported:
                self._add(metrics, "clipped_grad_norm", self._grad_norms())
            for run in broken:
                self._end(run, "diverged")
                metrics[run] |= self.loops[run].evaluate() if lead.eval_every else {}
            if lead.update:
                self._update.step(losses, self._batches.epoch)
                self._probe.after_update()
            else:
                self._probe.end()

            self.step += 1
            recordings = _by_run(self._probe.take(), len(self.loops))
            for run in broken:
                self._update.freeze(run)
                layers = [_without_update(row) for row in recordings[run].layers]
                recordings[run] = recordings[run]._replace(layers=layers)
            if evaluated:
                self._evaluate(metrics, [run for run in reported if run not in broken])
            for run in set(reported) - set(broken):
                if not isfinite(metrics[run].get("eval_loss", 0.0)):
                    self._end(run, "diverged", done=True)
                    self._update.freeze(run)
                elif last:
                    self._end(run, "completed", done=True)
            for run in reported:
                yield Step(run=run, metrics=metrics[run], recording=recordings[run])

    def _record(self, step: int, inputs: Tensor, targets: Tensor, *, force: bool = False) -> bool:
        recorded = self._probe.start(step, force=force)
        if recorded and self._probe.unrolls:
            self._probe.unroll(inputs, lambda outputs: self._losses(outputs, targets).sum())
        return recorded

    def _pass(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Do a forward and a backward pass and return the losses [K] and the outputs, detached."""
        for _, parameter in self._parameters:  # as zero_grad does, without visiting the modules
            parameter.grad = None
        outputs = self._model(inputs)
        losses = self._losses(outputs, targets)
        losses.sum().backward()
        return losses.detach(), outputs.detach()

    def _measure(self, inputs: Tensor, targets: Tensor) -> None:
        """Repeat the step's passes for the probe, without writing a gradient or a running statistic."""
        parameters = [parameter for _, parameter in self._parameters if parameter.requires_grad]
        with keep_buffers(self._model):
            objective = self._losses(self._model(inputs), targets).sum()
            torch.autograd.grad(objective, parameters, allow_unused=True)
        self._probe.close()

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return each run's mean loss, [K], given outputs [K * n, ...] and targets [K, n, ...]."""
        return mean_losses(self._task, outputs.unflatten(0, (self._gauge.count, -1)), targets)

    def _single_losses(self, outputs: Tensor, targets: Tensor) -> list[float]:
        """Return each run's mean loss with the summation order of a single run; `_losses` sums in another order.

        Args:
            outputs: Outputs [K, n, ...].
            targets: Targets [K, n, ...].
        """
        loss = self._task.loss
        return torch.stack([loss(own, target) for own, target in zip(outputs, targets, strict=True)]).tolist()

    def _describe(
        self, step: int, epoch: float, outputs: Tensor, targets: Tensor, reported: Sequence[int]
    ) -> dict[int, Metrics]:
        split = outputs.unflatten(0, (self._gauge.count, -1))
        values, right = self._single_losses(split, targets), accuracies(self._task, split, targets)
        rates = self._update.rates
        return {
            run: step_metrics(
                step, epoch=epoch, loss=values[run], accuracy=None if right is None else right[run], lr=rates[run]
            )
            for run in reported
        }

    def _grad_norms(self) -> list[float]:
        gradients = [parameter.grad for _, parameter in self._parameters if parameter.grad is not None]
        return total_norms(gradients, self._gauge).tolist()

    def _add(self, metrics: dict[int, Metrics], name: str, values: Sequence[Any]) -> None:
        for run, own in metrics.items():
            own[name] = values[run]

    @torch.no_grad()
    def _evaluate(self, metrics: dict[int, Metrics], reported: Sequence[int]) -> None:
        """Add loss and accuracy on the test set, computed in evaluation mode."""
        count = self._gauge.count
        output_parts, target_parts = [], []
        self._model.eval()
        for batches in zip(*(loop.test for loop in self.loops), strict=True):
            size = max(1, _TEST_NUMBERS // (count * batches[0][0][0].numel()))
            for start in range(0, len(batches[0][0]), size):
                piece = slice(start, start + size)
                outputs = self._model(torch.cat([inputs[piece] for inputs, _ in batches]))
                output_parts.append(outputs.unflatten(0, (count, -1)))
                target_parts.append(torch.stack([targets[piece] for _, targets in batches]))
        self._model.train()
        outputs, targets = torch.cat(output_parts, 1), torch.cat(target_parts, 1)
        self._add({run: metrics[run] for run in reported}, "eval_loss", self._single_losses(outputs, targets))
        if (right := accuracies(self._task, outputs, targets)) is not None:
            self._add({run: metrics[run] for run in reported}, "eval_accuracy", right)

    def _end(self, run: int, status: str, *, done: bool = False) -> None:
        """Finish a run: write its state back to its own loop. With ``done`` the step in progress is counted already."""
        loop = self.loops[run]
        loop.step = self.step if done else self.step + 1
        loop.status = status
        write_back(self._model, loop.model, run)
        self._update.settle(run)


def _by_run(recording: Recording, count: int) -> list[Recording]:
    """Return each run's recording, given one in which a figure is a list [K]."""
    return [
        Recording(*([tuple(v[run] if isinstance(v, list) else v for v in row) for row in rows] for rows in recording))
        for run in range(count)
    ]


def _without_update(row: Row) -> Row:
    """Return the row of a run that was not updated in this step."""
    return tuple(None if place in _UPDATE else value for place, value in enumerate(row))
