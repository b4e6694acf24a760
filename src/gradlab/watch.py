"""Record gradient flow in a user's own training loop."""

import sys
import time
import warnings
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from gradlab import CallableModule
from gradlab.artifacts.environment import describe_environment
from gradlab.artifacts.record import RunRecord, clear_run, describe_error, write_run
from gradlab.compat.torch_private import is_compiled
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.errors import GradlabError
from gradlab.norms import quiet
from gradlab.probe.probe import Probe
from gradlab.probe.unscale import unscaled
from gradlab.run.history import History
from gradlab.run.observations import flow_metrics, observe
from gradlab.run.verdicts import judge

_THRESHOLDS = Thresholds()  # those of diagnosis=default


def watch(
    model: nn.Module,
    *,
    to: str | Path,
    every: int = 10,
    full_every: int = 10,
    layers: Sequence[str] = ("*",),
    scaler: Any = None,
    overwrite: bool = False,
) -> "Watch":
    """Record the gradient flow through a model in a training loop of your own.

    Use it as a context manager, and call ``step()`` after each update::

        with gradlab.watch(model, every=10, to="outputs/mine") as probe:
            for inputs, targets in batches:
                optimizer.zero_grad()
                loss_function(model(inputs), targets).backward()
                optimizer.step()
                probe.step()

    A step may hold several forward and backward passes (gradient accumulation, several losses); forward passes without
    gradients, such as an evaluation, are not recorded. Training is unchanged, bit for bit.

    Args:
        model: Any module, on one device. For a compiled model, the module that was passed to ``torch.compile``.
        to: Folder for ``gradients.csv``, ``metrics.csv`` and ``run.json``; it must not hold another run.
        every: Record each ``every``-th step, from the first.
        full_every: Record the more costly columns too at each ``full_every``-th recorded step.
        layers: Patterns of layer names (as in a shell) to record.
        scaler: The ``torch.amp.GradScaler`` of float16 training, by whose scale recorded gradients are divided; call
            ``probe.step()`` after ``scaler.update()``.
        overwrite: Whether to replace a run in the folder, such as that of a notebook's cell which is executed again.

    Raises:
        GradlabError: The folder holds a run and ``overwrite`` is false, the model cannot be recorded, no layer matches,
            or an interval is below 1.
    """
    folder = Path(to)
    if not isinstance(model, nn.Module):
        raise GradlabError(f"watch: the model must be a torch.nn.Module, got {type(model).__name__}")
    if is_compiled(model):
        raise GradlabError("watch: a compiled model calls no hooks; give the module that was passed to torch.compile")
    if every < 1 or full_every < 1:
        raise GradlabError(f"watch: every and full_every must be at least 1, got {every} and {full_every}")
    existing = next((name for name in ("run.json", "gradients.csv") if (folder / name).exists()), None)
    if existing is not None and not overwrite:
        hint = "give another folder, or overwrite=True"
        raise GradlabError(f"watch: {folder} holds a run already ({existing}); {hint}")
    try:
        probe = Probe(model, every=every, full_every=full_every, last=-1, layers=layers)
    except ValueError as error:
        raise GradlabError(f"watch: {error}") from error
    return Watch(model, probe, folder, scaler=scaler)


class Watch:
    """Context manager that records a training loop, which calls `step` after each update; made by `watch`.

    Args:
        model: The trained model.
        probe: The probe of the model.
        folder: Folder for the files.
        scaler: A ``torch.amp.GradScaler`` or None.
    """

    def __init__(self, model: nn.Module, probe: Probe, folder: Path, *, scaler: Any) -> None:
        self._model, self._probe, self._folder, self._scaler = model, probe, folder, scaler
        self._step = 0
        self._diverged = False
        self._scale = 1.0
        self._scale_hook: Any = None
        self._quiet = quiet()
        self._history: History | None = None
        self._started = 0.0

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        clear_run(self._folder, stale=True)
        self._history = History(self._folder)
        self._started = time.monotonic()
        self._quiet.__enter__()
        self._begin()
        return self

    def step(self, loss: Tensor | float | None = None) -> None:
        """End a step, after the optimizer's update.

        Args:
            loss: The training loss, for ``metrics.csv``; read in recorded steps only.

        Raises:
            GradlabError: Outside of the ``with`` block, or if no layer was called in the first step.
        """
        if self._history is None:
            raise GradlabError("watch: probe.step() must be called inside the with block")
        if self._probe.recording:
            self._probe.after_update()
            recording = self._probe.take()
            if not recording.layers and not self._step:
                name = type(self._model).__name__
                raise GradlabError(
                    f"watch: no layer of {name} was called in the first step; is it the model you train?"
                )
            value = float(loss.detach()) if isinstance(loss, Tensor) else loss
            self._diverged = value is not None and not isfinite(value)
            layers = unscaled(recording.layers, self._scale)
            self._history.add({"step": self._step, "train_loss": value}, recording._replace(layers=layers))
        self._step += 1
        self._begin()

    def _status(self, error: BaseException | None) -> str:
        if error is not None:
            return "failed" if isinstance(error, Exception) else "interrupted"
        return "diverged" if self._diverged else "completed"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        history, self._history = self._history, None
        self._probe.close()
        self._stop_reading_scale()
        self._quiet.__exit__(kind, error, traceback)
        if history is None:
            return
        history.close()
        hidden = self._probe.hidden_layers
        parameter = next(self._model.parameters())
        record: RunRecord = {
            "status": self._status(error),
            "fingerprint": None,
            "seed": None,
            "environment": describe_environment(device=str(parameter.device), threads=torch.get_num_threads()),
            "warnings": self._forgotten(error),
            "model": type(self._model).__name__,
            "steps": self._step,
            "seconds": time.monotonic() - self._started,
            "hidden_layers": hidden,
        }
        observations = observe(self._folder, record)
        smallest = torch.finfo(parameter.dtype).tiny
        record["metrics"] = history.totals() | flow_metrics(observations)
        record["verdicts"] = judge(
            self._folder, record, _THRESHOLDS, config={}, choices={}, observations=observations, smallest=smallest
        )
        record["theory"] = None
        if isinstance(error, Exception):
            record["error"] = describe_error(error)
        write_run(self._folder, record)

    def _forgotten(self, error: BaseException | None) -> list[str]:
        """Return the warning for a loop that never called `step`, after issuing it."""
        if self._step or error is not None:
            return []
        line = "probe.step() was never called, so nothing was recorded; call it after each optimizer.step()"
        warnings.warn(f"gradlab.watch: {line}", stacklevel=3)
        return [line]

    def _begin(self) -> None:
        self._stop_reading_scale()
        if not self._probe.start(self._step):
            return
        self._probe.read_ahead()
        if self._scaler is not None:
            self._read_scale()
            # The scale changes before the forward pass if update() is called after probe.step().
            self._scale_hook = self._model.register_forward_pre_hook(lambda module, args: self._read_scale())

    def _read_scale(self) -> None:
        self._scale = float(self._scaler.get_scale())

    def _stop_reading_scale(self) -> None:
        if self._scale_hook is not None:
            self._scale_hook.remove()
            self._scale_hook = None


sys.modules[__name__].__class__ = CallableModule  # gradlab.watch(...) is the function above
