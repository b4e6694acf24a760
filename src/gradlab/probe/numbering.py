"""Number the layers of a model that does not number them itself, in the order of their first calls."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from gradlab.interfaces import MAIN, UNNUMBERED, Point


class Numbering:
    """Assigns each layer its place: a depth_index and a role.

    The first recorded step numbers the layers of the main path in the order of their calls. A layer of another role
    gets the number of the layer called before it. So does a main layer that is first called in a later step, in the
    role ``late``, so that no number changes. If no numbered layer was called before it in that step, it gets the next
    free number (two networks that are trained in turn).

    Args:
        points: All layers, including those that are not recorded.
    """

    def __init__(self, points: Iterable[Point]) -> None:
        points = list(points)
        self.recording = False
        self._places = {point: (point.depth_index, point.role) for point in points if point.depth_index != UNNUMBERED}
        self._unnumbered = [point for point in points if point.depth_index == UNNUMBERED]
        self._called: dict[Point, None] = {}
        self._handles: list[RemovableHandle] = []

    @property
    def by_calls(self) -> bool:
        """Whether calls number layers that the model does not number."""
        return bool(self._unnumbered)

    @property
    def hidden_layers(self) -> int | None:
        """Number of layers on the main path without the last, the head; None before any is numbered."""
        depths = [depth for depth, role in self._places.values() if role == MAIN]
        return max(depths) - 1 if depths else None

    def place(self, point: Point) -> tuple[int, str]:
        """Return depth_index and role of a layer that has been called."""
        return self._places[point]

    def start(self) -> None:
        """Record the calls of one step."""
        self._called.clear()
        self.recording = True
        self._handles = self._handles or [
            (point.caller or point.affine).register_forward_hook(partial(self._on_call, point))
            for point in self._unnumbered
        ]

    def finish(self) -> None:
        """Number the layers that were called in this step."""
        self.recording = False
        beside, extending = 1, True
        largest = max((depth for depth, _ in self._places.values()), default=0)
        for point in self._called:
            if point in self._places:
                extending = False
            elif point.role != MAIN:
                self._places[point] = (beside, point.role)
            elif extending:
                largest += 1
                self._places[point] = (largest, MAIN)
            else:
                self._places[point] = (beside, "late")
            beside = self._places[point][0]

    def state_dict(self) -> dict[str, Any]:
        """Return the places assigned by calls, in the order of the points; None for a layer without one."""
        return {"places": [self._places.get(point) for point in self._unnumbered]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore ``state``."""
        places = zip(self._unnumbered, state["places"], strict=True)
        self._places |= {point: tuple(place) for point, place in places if place is not None}

    def stop(self) -> None:
        """Remove every hook."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _on_call(self, point: Point, module: nn.Module, args: Any, output: Any) -> None:
        if self.recording and torch.is_grad_enabled():
            self._called.setdefault(point)
