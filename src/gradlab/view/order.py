"""In which order layers stand along an axis, and what they are called there.

The nets that gradlab builds are chains: their layers are numbered. A model of a user's own has names for its layers,
and often blocks whose layers play different roles (attention, first and second matrix). A line through such layers in
their order would jump up and down between the roles, so the layers of one role stand side by side, block after block.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gradlab.artifacts.read import Layers, spread_out
from gradlab.view import style

_BUILT = re.compile(r"(stem|blocks\.\d+|layers\.\d+)(\.\d+|\.affine|\.branch|\.input|\.recurrent)*|\d+")
_ROLE = re.compile(r"^(?:.*?\.)??\d+\.(?=\D)(?:\d+\.(?=\D))*(?P<role>.+)$")
_LETTERS = 20  # of a name on an axis
_MOST = 12  # names on an axis


@dataclass(frozen=True)
class Order:
    """The hidden layers along an axis.

    Attributes:
        rows: Index of each layer in the table, in the order of the axis, shape (H,).
        x: Place of each on the axis, ascending, shape (H,).
        groups: Ranges of ``rows`` that a line may join, such as the layers of one role.
        ticks: Labels by place.
        named: Whether the labels are names of layers rather than numbers.
    """

    rows: NDArray[np.int64]
    x: NDArray[np.float64]
    groups: Sequence[slice]
    ticks: dict[float, str]
    named: bool

    @property
    def breaks(self) -> list[float]:
        """Places between two groups."""
        return [float(self.x[group.start - 1] + self.x[group.start]) / 2 for group in self.groups[1:]]


def order_layers(layers: Layers) -> Order:
    """Return the order of a run's hidden layers along an axis.

    Args:
        layers: The run's layers; those that were not measured left out.
    """
    count = layers.hidden
    names, depths = list(layers.names[:count]), layers.depths[:count]
    if all(_BUILT.fullmatch(name) for name in names):
        ticks = (
            {float(depth): str(depth) for depth in style.integer_ticks(int(depths[0]), int(depths[-1]))}
            if count
            else {}
        )
        return Order(np.arange(count), depths.astype(float), [slice(0, count)], ticks, named=False)
    groups = _by_role(names)
    rows = np.array([row for _, group in groups for row in group])
    stops = np.cumsum([0, *(len(group) for _, group in groups)]).tolist()
    slices = [slice(*ends) for ends in pairwise(stops)]
    x = np.concatenate([np.arange(part.start, part.stop) + place for place, part in enumerate(slices)]).astype(float)
    if len(groups) == 1:
        ticks = {float(x[place]): shorten(names[place]) for place in spread_out(count, _MOST)}
    else:
        ticks = {float(x[part].mean()): _group_name(role, part) for (role, _), part in zip(groups, slices, strict=True)}
    return Order(rows, x, slices, ticks, named=True)


def name_of(layers: Layers, row: int) -> str:
    """Return what a layer is called in words: ``layer 3``, ``encoder.0.mlp.2`` or ``the head``."""
    if layers.head and row == layers.hidden:
        return "the head"
    name = layers.names[row]
    return f"layer {layers.depths[row]}" if _BUILT.fullmatch(name) else name


def shorten(name: str, letters: int = _LETTERS) -> str:
    """Return a name of at most so many letters: its beginning, which holds the block, and its end."""
    return name if len(name) <= letters else f"{name[: letters // 3]}…{name[1 + letters // 3 - letters :]}"


def _by_role(names: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Return (role, rows) in the order of a net: roles of several blocks, what comes before them, what comes after.

    Without two roles that several blocks share, all layers are one group without a role.
    """
    roles = [found["role"] if (found := _ROLE.match(name)) else "" for name in names]
    shared = [role for role in dict.fromkeys(roles) if role and roles.count(role) > 1]
    if len(shared) < 2:
        return [("", list(range(len(names))))]
    inside = [row for row, role in enumerate(roles) if role in shared]
    around = [row for row in range(len(names)) if row not in inside]
    before = [(names[row], [row]) for row in around if row < inside[0]]
    after = [(names[row], [row]) for row in around if row > inside[0]]
    return [*before, *((role, [row for row in inside if roles[row] == role]) for role in shared), *after]


def _group_name(role: str, part: slice) -> str:
    count = part.stop - part.start
    return shorten(role) if count == 1 else f"{shorten(role)} ({count})"
