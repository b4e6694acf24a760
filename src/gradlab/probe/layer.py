"""One layer under measurement: its three instruments and the hooks that they need."""

from collections.abc import Iterator
from types import ModuleType

from torch import Tensor
from torch.utils.hooks import RemovableHandle

from gradlab.points import Point
from gradlab.probe.columns import EMPTY, FIGURES, SLOT
from gradlab.probe.detail import DetailHooks
from gradlab.probe.pool import Figure, Row
from gradlab.probe.signal import SignalHooks
from gradlab.probe.weight import WeightReader

_ENTRIES = SLOT["preactivation_entries"]
_GRADIENTS = tuple(SLOT[name] for name in ("preactivation_grad_norm", "activation_grad_norm", "skip_grad_norm"))


class LayerProbe:
    """Everything that is measured at one `Point`.

    Args:
        point: Where to measure.
        name: Qualified name of the module that holds the weight.
        gauge: The module `gradlab.probe.host` or `gradlab.probe.device`.
        turns: Counts the layers of one step in the order in which they are first called.
    """

    def __init__(self, point: Point, name: str, gauge: ModuleType, turns: Iterator[int]) -> None:
        self.point = point
        self.name = name
        self.row: Row = list(EMPTY)
        self.signal = SignalHooks(point, self.row, gauge, turns)
        self.detail = DetailHooks(point, self.row, gauge)
        self.weight = WeightReader(point, self.row, gauge)
        self._handles: list[RemovableHandle] = []
        self._detail_handles: list[RemovableHandle] = []

    @property
    def called(self) -> bool:
        """Whether the layer was called in this step."""
        return self.row[_ENTRIES] > 0

    def start(self, *, full: bool) -> None:
        """Forget the last step and make sure that just the hooks of this one are there."""
        self.row[:] = EMPTY
        self.listen(True)
        self.weight.clear()
        if not self._handles:
            self._handles = self.signal.attach() + self.weight.attach()
        if full:
            self.detail.clear()
            self._detail_handles = self._detail_handles or self.detail.attach()
        elif self._detail_handles:
            _remove(self._detail_handles)

    def listen(self, recording: bool, /) -> None:
        """Say whether what the hooks see from here on belongs to the step."""
        self.signal.recording = self.weight.recording = self.detail.recording = recording

    def unscale(self, scale: Tensor | float) -> None:
        """Divide what was measured of gradients by what the loss was multiplied by; exact, for a power of two."""
        for slot in _GRADIENTS:
            if self.row[slot] is not None:
                self.row[slot] = self.row[slot] / scale
        self.weight.unscale(scale)
        self.detail.unscale(scale)

    def figures(self, *, full: bool) -> list[Figure]:
        """End the step and return its figures, in the order of ``columns.FIGURES``."""
        if full:
            self.detail.finish()
        self.listen(False)
        return self.row[: len(FIGURES)]

    def stop(self) -> None:
        """Remove every hook."""
        _remove(self._handles)
        _remove(self._detail_handles)


def _remove(handles: list[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()
    handles.clear()
