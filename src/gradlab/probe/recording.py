"""The rows that the probe recorded."""

from collections.abc import Sequence
from typing import Any, NamedTuple

Row = tuple[Any, ...]


class Recording(NamedTuple):
    """Rows for a run's tables; a value that was not measured is None.

    Attributes:
        layers: For gradients.csv, values in the order of ``columns.COLUMNS``.
        shares: For auxiliary.csv, values in the order of ``columns.SHARES``.
        timesteps: For timesteps.csv, values in the order of ``columns.TIMESTEPS``.
        neighbours: For neighbours.csv, values in the order of ``columns.NEIGHBOURS``.
    """

    layers: Sequence[Row] = ()
    shares: Sequence[Row] = ()
    timesteps: Sequence[Row] = ()
    neighbours: Sequence[Row] = ()
