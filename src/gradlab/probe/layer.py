"""Record one layer: its signal, its details and its weight, with their hooks."""

from typing import Any, Self

from torch import Tensor
from torch.utils.hooks import RemovableHandle

from gradlab.borders import table_cell
from gradlab.interfaces import Point
from gradlab.probe.catcher import Switch
from gradlab.probe.columns import EMPTY, FIGURES, MATRIX_FIGURES, SLOT
from gradlab.probe.detail import DetailHooks
from gradlab.probe.gauge import Gauge, Slots
from gradlab.probe.signal import SignalHooks
from gradlab.probe.weight import WeightReader

_ENTRIES = SLOT["preactivation_entries"]


class LayerProbe:
    """Records all figures of one `Point`.

    Args:
        point: The layer.
        name: Qualified name of the module that holds the weight, then the weight's name unless that is ``weight``.
        gauge: Computes the figures.
        switch: The hooks record while it is on.
    """

    def __init__(self, point: Point, name: str, gauge: Gauge[Any], switch: Switch) -> None:
        self.point = point
        self.name = table_cell(name)  # as the tables show it, whatever the module is called
        self.row: Slots = list(EMPTY)
        self.signal = SignalHooks(point, self.row, gauge, switch)
        self.detail = DetailHooks(point, self.row, gauge, switch)
        self.weight = WeightReader(point, self.row, gauge, switch)
        self._lead: Self | None = None
        self._handles: list[RemovableHandle] = []
        self._detail_handles: list[RemovableHandle] = []

    @property
    def called(self) -> bool:
        """Whether the layer was called in this step."""
        return self.signal.called or bool(self.row[_ENTRIES])

    def start(self, *, full: bool) -> None:
        """Reset for a new step, and attach the hooks that it needs; those of the full record only if ``full``."""
        self.row[:] = EMPTY
        self._lead = None
        self.signal.clear()
        self.weight.clear()
        if not self._handles:
            self._handles = self.signal.attach() + self.weight.attach()
        if full:
            self.detail.clear()
            self._detail_handles = self._detail_handles or self.detail.attach()
        elif self._detail_handles:
            _remove(self._detail_handles)

    def share_signal(self, lead: Self) -> None:
        """Report the signal of ``lead``, which records another matrix of the same layer."""
        self._lead = lead
        self.signal.called = lead.signal.called

    def unscale(self, scale: Tensor | float) -> None:
        """Divide the recorded gradients by the loss scale; exact for a power of two."""
        self.signal.unscale(scale)
        self.weight.unscale(scale)
        self.detail.unscale(scale)

    def figures(self, *, full: bool) -> list[Any]:
        """End the step and return its figures in the order of ``columns.FIGURES``; call it for the lead first."""
        self.signal.finish()
        if full:
            self.detail.finish()
        if self._lead is None:
            return self.row[: len(FIGURES)]
        return [(self.row if name in MATRIX_FIGURES else self._lead.row)[SLOT[name]] for name in FIGURES]

    def neighbours(self, lag: int) -> Any | None:
        """Return `DetailHooks.neighbours`, None for a second matrix; call it after `figures` in a full record."""
        return None if self._lead is not None else self.detail.neighbours(lag)

    def stop(self) -> None:
        """Remove every hook."""
        _remove(self._handles)
        _remove(self._detail_handles)


def _remove(handles: list[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()
    handles.clear()
