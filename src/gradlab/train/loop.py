"""The training loop."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from gradlab.data.units import Units
from gradlab.errors import GradlabError
from gradlab.interfaces import Supervised
from gradlab.norms import total_norm
from gradlab.probe.probe import Probe
from gradlab.train.precision import Precision
from gradlab.train.rng import RandomState, random_state, set_random_state
from gradlab.train.structure import Structure
from gradlab.train.task import Batch, Metrics, Task, keep_buffers, step_metrics


@dataclass(kw_only=True)
class Loop:
    """A training run: built objects in, a stream of metrics out.

    Attributes:
        model: What is trained.
        batches: Iterator of (inputs, targets) with an ``epoch``, the passes over the training set so far.
        test: Batches of (inputs, targets) to evaluate on.
        task: Loss and accuracy.
        optimizer: Updates the model's parameters.
        lr_scheduler: Stepped after each update. If it defines ``observe(loss, epoch)``, that is called first with the
            step's loss, 0-d, and the passes over the training set so far.
        clip: Called with the named parameters between backward pass and update.
        probe: Records the gradient flow.
        structure: Freezes layers and adds new ones.
        precision: Number type of the forward pass, and the loss scaling that it needs.
        steps: Number of steps.
        update: Whether the optimizer's update is applied.
        eval_every: Steps between evaluations; 0 for never, not even at the end.
        accumulate: Mini-batches whose mean loss one step descends on.
        compiled: The compiled model, or None. A probe cannot hook into it, so recorded steps take a second pass
            through the model itself.
        pause_every: Steps between two pauses at which the run can be saved; 0 for none before the end.
        chance: ``loss`` and ``accuracy`` of the best answer that does not look at its input.
        units: How to read the loss of a regression; None for other tasks.
        warnings: What is odd about the data, one line each.
        step: Number of the step in progress; after the run, the number of steps done.
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
    structure: Structure
    precision: Precision
    steps: int
    update: bool
    eval_every: int
    accumulate: int = 1
    compiled: Callable[[Tensor], Any] | None = None
    pause_every: int = 0
    chance: dict[str, float | None] = field(default_factory=dict)
    units: Units | None = None
    warnings: Sequence[str] = ()
    step: int = 0
    status: str = "running"
    _parameters: list[tuple[str, nn.Parameter]] = field(init=False)
    _observe: Callable[[Tensor, float], None] = field(init=False)
    _share: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.refresh()
        self._observe = getattr(self.lr_scheduler, "observe", lambda loss, epoch: None)
        parameter = self._parameters[0][1]
        self._share = torch.tensor(1 / self.accumulate, dtype=parameter.dtype, device=parameter.device)

    @property
    def device(self) -> torch.device:
        """Where the model's parameters are."""
        return self._parameters[0][1].device

    def refresh(self) -> None:
        """List the model's parameters again, after it has changed."""
        self._parameters = list(self.model.named_parameters())

    @property
    def pauses(self) -> bool:
        """Whether the run can be saved after the step just done."""
        return self.pause_every > 0 and self.step % self.pause_every == 0

    def evaluates(self, step: int, *, last: bool) -> bool:
        """Whether the test set is evaluated after a step, the last one among them."""
        return self.eval_every > 0 and (step % self.eval_every == 0 or last)

    def run(self) -> Iterator[Metrics]:
        """Train, and yield the metrics of each step that is recorded or evaluated, and {} after other pauses.

        The run can be saved and resumed wherever this yields, which is always between two steps. A loss that is not
        finite ends the run: that step is recorded, by a second pass if the first was not. Reading the loss makes the
        host wait for a GPU, so there only recorded steps are checked.
        """
        self.model.train()
        while self.step < self.steps and self.status == "running":
            metrics = self._train_step()
            if metrics or self.pauses:
                yield metrics
        if self.status == "running":
            self.status = "completed"

    def _train_step(self) -> Metrics:
        """Train one step; return its metrics, {} if it is not recorded, not evaluated and not the last."""
        step, epoch = self.step, self.batches.epoch
        if self.structure.grows(step):
            self._grow(step)
        batches = [next(self.batches) for _ in range(self.accumulate)]
        loss, outputs, recorded = self._record_and_pass(step, batches)
        diverged = self.status == "diverged"
        last = step == self.steps - 1 or diverged
        evaluated = self.evaluates(step, last=last)
        metrics = {}
        if recorded or evaluated or last:
            metrics = self._describe(step, epoch, loss, outputs, torch.cat([targets for _, targets in batches]))
        self._clip(step, metrics)
        self._update(loss, apply=self.update and not diverged)
        self.step += 1
        if evaluated:
            metrics |= self.evaluate()
            if not isfinite(metrics["eval_loss"]):
                self.status = "diverged"
        return metrics

    def _record_and_pass(self, step: int, batches: Sequence[Batch]) -> tuple[Tensor, Tensor, bool]:
        """Do a step's passes, recorded if the step is due or if its loss is not finite, which ends the run.

        Returns:
            The mean loss, the outputs of all mini-batches, and whether the step is recorded.
        """
        random = random_state(self.device)
        recorded = self._record(step, batches) if self.compiled is None else self.probe.due(step)
        loss, objective, outputs = self._pass(batches)
        if (recorded or self.device.type == "cpu") and not isfinite(float(objective)):
            self.status = "diverged"
        diverged = self.status == "diverged"
        if (recorded or diverged) and not self.probe.recording:
            recorded = self._record(step, batches, force=diverged)
            self._measure(batches, random)
        return loss, outputs, recorded

    def _clip(self, step: int, metrics: Metrics) -> None:
        """Unscale, freeze and clip the gradients, and add their norms before and after clipping to a step's metrics."""
        self.probe.after_backward(scale=self.precision.unscale(self.optimizer))
        self.structure.hold(step)
        if metrics:
            metrics["grad_norm"] = self._grad_norm()
        self.clip(self._parameters)
        self.probe.after_clipping()
        if metrics:
            metrics["clipped_grad_norm"] = self._grad_norm()

    def _update(self, loss: Tensor, *, apply: bool) -> None:
        if apply:
            self.precision.step(self.optimizer)
            self._observe(loss, self.batches.epoch)
            self.lr_scheduler.step()
            self.probe.after_update()
        else:
            self.probe.end()
        self.precision.end()

    def interrupt(self) -> None:
        """End the run after the step in progress, unless that ends it anyway."""
        if self.status == "running":
            self.status = "interrupted"

    def _grow(self, step: int) -> None:
        """Add the layers that are due, and record the test loss before and after, which should be equal."""
        before = self.evaluate()["eval_loss"]
        event = self.structure.grow(step)
        self.refresh()
        event |= {"eval_loss_before": before, "eval_loss": self.evaluate()["eval_loss"]}

    def _pass(self, batches: Sequence[Batch]) -> tuple[Tensor, Tensor, Tensor]:
        """Do a forward and a backward pass with each mini-batch, and leave the mean of their gradients.

        Returns:
            The mean loss and the mean objective, 0-d, and the outputs of all mini-batches. The objective is what the
            gradients are of: the loss, and that of auxiliary heads.
        """
        self.optimizer.zero_grad()
        model = self.model if self.compiled is None else self.compiled  # bool() of a compiled model is its length
        results: list[tuple[Tensor, ...]] = []
        for inputs, targets in batches:
            outputs, loss, objective = self._forward(model, inputs, targets)
            self.precision.scale(objective).backward(self._share)
            results.append((loss.detach(), objective.detach(), outputs.detach()))
        if len(results) == 1:
            return results[0]  # pyright: ignore[reportReturnType]
        losses, objectives, outputs = zip(*results, strict=True)
        return torch.stack(losses).mean(), torch.stack(objectives).mean(), torch.cat(outputs)

    def _record(self, step: int, batches: Sequence[Batch], *, force: bool = False) -> bool:
        """Start the probe's step; a recurrent model's time steps take a pass of their own over all mini-batches."""
        recorded = self.probe.start(step, force=force)
        if recorded and self.probe.unrolls:
            inputs, targets = (torch.cat(column) for column in zip(*batches, strict=True))
            with self.precision.autocast:
                self.probe.unroll(
                    inputs,
                    lambda outputs: self.task.loss(outputs.to(self._share.dtype), targets),
                    scale=self.precision.factor,
                )
        return recorded

    def _measure(self, batches: Sequence[Batch], random: RandomState) -> None:
        """Repeat the step's passes for the probe, from the random state they began with.

        Gradients, random state and running statistics are left as they were.
        """
        after = random_state(self.device)
        set_random_state(random)
        parameters = [parameter for _, parameter in self._parameters if parameter.requires_grad]
        with keep_buffers(self.model):
            for inputs, targets in batches:
                _, _, objective = self._forward(self.model, inputs, targets)
                torch.autograd.grad(self.precision.scale(objective), parameters, self._share, allow_unused=True)
        self.probe.close()
        set_random_state(after)

    def _forward(
        self, model: Callable[[Tensor], Any], inputs: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs, their loss, and the objective, which includes the losses of auxiliary heads."""
        with self.precision.autocast:
            answer = model(inputs)
        outputs = answer.outputs if isinstance(answer, Supervised) else answer
        outputs = outputs.to(self._share.dtype)  # losses are computed in the type of the weights
        loss = self.task.loss(outputs, targets)
        if not isinstance(answer, Supervised):
            return outputs, loss, loss
        if self.accumulate > 1:
            raise GradlabError(
                f"train.accumulate={self.accumulate}: auxiliary heads are measured one batch a step; take 1"
            )
        heads = {name: self.task.loss(part.to(outputs.dtype), targets) for name, part in answer.auxiliary.items()}
        self.probe.read_shares(loss, heads, weight=answer.weight, scale=self.precision.scale)
        return outputs, loss, loss + answer.weight * torch.stack(list(heads.values())).sum()

    @torch.no_grad()
    def evaluate(self) -> Metrics:
        """Return loss and accuracy on the test set, in evaluation mode, with the parameters as they are."""
        self.model.eval()
        with self.precision.autocast:
            parts = [(self.model(inputs), targets) for inputs, targets in self.test]
        self.model.train()
        outputs, targets = (torch.cat(column) for column in zip(*parts, strict=True))
        outputs = outputs.to(self._share.dtype)
        metrics = {"eval_loss": float(self.task.loss(outputs, targets))}
        if (accuracy := self.task.accuracy(outputs, targets)) is not None:
            metrics["eval_accuracy"] = accuracy
        return metrics

    def _describe(self, step: int, epoch: float, loss: Tensor, outputs: Tensor, targets: Tensor) -> Metrics:
        accuracy, lr = self.task.accuracy(outputs, targets), float(self.optimizer.param_groups[0]["lr"])
        return step_metrics(step, epoch=epoch, loss=float(loss), accuracy=accuracy, lr=lr)

    def _grad_norm(self) -> float:
        return float(total_norm(p.grad for _, p in self._parameters if p.grad is not None))
