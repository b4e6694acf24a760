"""A Lightning callback: ``Trainer(callbacks=[GradientFlow("outputs/mine")])``."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer  # pyright: ignore[reportMissingImports]

from gradlab.watch import Watch, watch


class GradientFlow(Callback):
    """Runs `gradlab.watch` during training, on one device; needs the extra ``lightning``.

    Args:
        to: Folder for the files.
        **options: Further arguments of `gradlab.watch.watch`, such as ``every``.
    """

    def __init__(self, to: str, **options: Any) -> None:
        self._to, self._options = to, options
        self._watch: Watch | None = None
        self._done = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start recording."""
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        self._done = trainer.global_step
        self._watch = watch(pl_module, to=self._to, scaler=scaler, **self._options).__enter__()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the step; a batch that only accumulates gradients ends none."""
        if self._watch is not None and trainer.global_step > self._done:
            self._done = trainer.global_step
            self._watch.step(trainer.callback_metrics.get("train_loss"))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Finish the record."""
        self._close(None)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Finish the record of a failed training."""
        self._close(exception)

    def _close(self, error: BaseException | None) -> None:
        if self._watch is not None:
            self._watch.__exit__(type(error) if error else None, error, None)
            self._watch = None
