"""A figure that stands for a tensor for as long as nobody writes to it."""

from torch import Tensor

from gradlab.probe.pool import Figure


class Reading:
    """One figure of a tensor, and how to tell whether it is still true.

    Torch counts the writes to a tensor, and another storage betrays itself by its address, which nobody else can have
    while this one is held. Writes through ``.data`` into the same storage are not counted.

    Args:
        tensor: What was measured, detached.
        figure: What came of it.
    """

    __slots__ = ("_held", "_version", "figure")

    def __init__(self, tensor: Tensor, figure: Figure) -> None:
        self._held = tensor
        self._version = tensor._version
        self.figure = figure

    def holds(self, tensor: Tensor) -> bool:
        """Return whether a tensor is the one that was measured, and unchanged."""
        return tensor._version == self._version and tensor.data_ptr() == self._held.data_ptr()
