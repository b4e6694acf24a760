"""Freezing layers for a range of steps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from gradlab.interfaces import UNNUMBERED, Point
from gradlab.nn.recurrent import RecurrentLayer
from gradlab.probe.discovery import find_points, layer_names


@dataclass(frozen=True, kw_only=True)
class Freeze:
    """Layers that are frozen from step ``since`` to the step before ``until``.

    Attributes:
        layers: Shell patterns for names of layers (as in gradients.csv), modules or parameters.
        depth: First and last depth_index of further layers, or None.
        since: First step in which they are frozen.
        until: First step in which they learn again; None to keep them frozen.
    """

    layers: tuple[str, ...] = ()
    depth: tuple[int, int] | None = None
    since: int = 0
    until: int | None = None

    def holds(self, step: int) -> bool:
        """Whether the layers are frozen in a step."""
        return self.since <= step and (self.until is None or step < self.until)

    def chosen(self, model: nn.Module) -> list[nn.Parameter]:
        """Return all parameters of the layers, not only those of the affine maps.

        Raises:
            ValueError: ``depth`` is given, and the model does not number its layers or has fewer.
        """
        points = find_points(model)
        names = layer_names(model, points)
        inside = tuple(f"{name}." for name in self._numbered(model, points))
        matrices = {
            id(parameter)
            for point in points
            if any(fnmatchcase(names[point], pattern) for pattern in self.layers)
            for parameter in _held_elsewhere(point)
        }
        return [
            parameter
            for name, parameter in model.named_parameters()
            if name.startswith(inside)
            or id(parameter) in matrices
            or any(_matches(name, pattern) for pattern in self.layers)
        ]

    def _numbered(self, model: nn.Module, points: Sequence[Point]) -> list[str]:
        """Return the names of the modules with the layers from the first to the last number of ``depth``."""
        if self.depth is None:
            return []
        if any(point.depth_index == UNNUMBERED for point in points):
            raise ValueError("freeze: this model does not number its layers; name them by layers instead of depth")
        first, last = self.depth
        deepest = max(point.depth_index for point in points)
        if last > deepest:
            raise ValueError(f"freeze: depth [{first}, {last}] goes beyond the head, which is layer {deepest}")
        names = {module: name.removesuffix(".affine") for name, module in model.named_modules()}
        for module, name in list(names.items()):
            if isinstance(module, RecurrentLayer):  # both matrices are parameters of one module of torch
                names |= {module.input: name, module.recurrent: name}
        return [names[point.affine] for point in points if first <= point.depth_index <= last]


def read_freeze(rules: Iterable[Any]) -> list[Freeze]:
    """Return the rules of ``train.freeze``, such as ``{layers: stem, until: 100}`` or ``{depth: [1, 5], from: 200}``.

    Raises:
        ValueError: A rule has an unknown key, names no layers, or holds at no step.
    """
    return [_read_rule(rule) for rule in rules]


def _read_rule(rule: Any) -> Freeze:
    form = "write {layers: PATTERN, from: STEP, until: STEP} or {depth: [FIRST, LAST], …}"
    if not isinstance(rule, Mapping) or set(rule) - {"layers", "depth", "from", "until"}:
        raise ValueError(f"freeze: cannot read {rule}; {form}")
    names, depth, since, until = rule.get("layers", []), rule.get("depth", []), rule.get("from", 0), rule.get("until")
    layers = [names] if isinstance(names, str) else names
    listed = isinstance(layers, list) and isinstance(depth, list) and len(depth) in (0, 2)
    if not listed or not (layers or depth) or not all(type(n) is int for n in (since, *depth, until or 0)):
        raise ValueError(f"freeze: cannot read {dict(rule)}; {form}")
    if since < 0 or (until is not None and until <= since):
        raise ValueError(f"freeze: {dict(rule)} holds at no step")
    if depth and not 1 <= depth[0] <= depth[1]:
        raise ValueError(f"freeze: depth is [FIRST, LAST] with 1 <= FIRST <= LAST, got {depth}")
    return Freeze(layers=tuple(layers), depth=(depth[0], depth[1]) if depth else None, since=since, until=until)


def _matches(parameter: str, pattern: str) -> bool:
    """Whether a pattern matches a parameter's name, or the name of a module that contains it."""
    parts = parameter.split(".")
    return any(fnmatchcase(".".join(parts[:length]), pattern) for length in range(1, len(parts) + 1))


def _held_elsewhere(point: Point) -> list[nn.Parameter]:
    """Return the weight and bias of a layer; the module of a recurrent layer's matrix does not hold them itself."""
    attributes = (getattr(point.affine, name, None) for name in (point.weight, "bias"))
    return [attribute for attribute in attributes if isinstance(attribute, nn.Parameter)]
