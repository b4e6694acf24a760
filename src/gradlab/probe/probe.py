"""The probe: which steps are recorded, and the rows of gradients.csv that come of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn

from gradlab.interfaces import Point
from gradlab.probe import gauge_device as device_gauge
from gradlab.probe import gauge_host as host_gauge
from gradlab.probe import timesteps
from gradlab.probe.catcher import Switch
from gradlab.probe.discovery import find_points
from gradlab.probe.gauge import Gauge
from gradlab.probe.layer import LayerProbe
from gradlab.probe.numbering import Numbering
from gradlab.probe.recording import Recording, Row
from gradlab.probe.shares import gradient_shares

_HOST: Gauge[float] = host_gauge
_DEVICE: Gauge[Tensor] = device_gauge


class Probe:
    """Records the gradient flow through a model while somebody else trains it.

    For each step call `start`, do the forward and backward pass, then call `after_backward`, clip, `after_clipping`,
    update, `after_update`. Steps that are not recorded carry no hook at all; nothing here changes a bit of the
    training (no random number is drawn, no parameter or gradient is written). `take` hands over the rows.

    Args:
        model: Any module; one that has a method ``points()`` says itself where to measure.
        every: Each ``every``-th step is recorded, and the first and the last; 0 records nothing.
        full_every: Each ``full_every``-th recorded step, the first and the last record the F columns too.
        last: Number of the last step, or -1 where it is not known.
        layers: Patterns of layer names (as in a shell) to record.
        also: Further steps to record in full.
        neighbours: Distances, in places in the batch, of the samples whose dL/dz are compared; for data whose order
            means something. A full record has them for each layer.
        gauge: What takes the figures, where the model is many runs' at once; rows then hold lists, [K].

    Raises:
        ValueError: If ``layers`` matches no layer, the model has none, or a distance is below 1.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        every: int,
        full_every: int,
        last: int,
        layers: Sequence[str] = ("*",),
        also: Iterable[int] = (),
        neighbours: Sequence[int] = (),
        gauge: Gauge[Any] | None = None,
    ) -> None:
        if any(lag < 1 for lag in neighbours):
            raise ValueError(f"neighbours={list(neighbours)}: a distance is at least 1")
        self.every, self.full_every, self.last = every, full_every, last
        self._edges = {0, last, *also}
        self.step = -1
        self.recording = self.full = False
        self._model, self._patterns = model, layers
        on_cpu = all(p.device.type == "cpu" for p in model.parameters())
        self._gauge = gauge or (_HOST if on_cpu else _DEVICE)
        self._waits = self._gauge is not _HOST
        self._switch = Switch()
        self._layers: list[LayerProbe] = []
        self._ahead = False
        self._rows: list[Row] = []
        self._shares: list[Row] = []
        self._lags, self._neighbours = tuple(neighbours), list[Row]()
        self._times: list[tuple[Row, Tensor]] = []
        self.look()

    def look(self) -> None:
        """Find the layers of the model, at first and, between two steps, whenever they have become others.

        Raises:
            ValueError: If the patterns match no layer, or the model has none.
        """
        points = find_points(self._model)
        for layer in self._layers:
            layer.stop()
        self._numbering = Numbering(points)
        names = _names(self._model, points)
        chosen = [p for p in points if any(fnmatchcase(names[p], pattern) for pattern in self._patterns)]
        if not chosen:
            known = ", ".join(names[p] for p in points[:5])
            raise ValueError(f"layers={list(self._patterns)} matches no layer; there are {known}, …")
        self._layers = [LayerProbe(p, names[p], self._gauge, self._switch) for p in chosen] if self.every else []

    def due(self, step: int) -> bool:
        """Return whether a step is one to record."""
        return bool(self._layers) and (step in self._edges or step % self.every == 0)

    @property
    def hidden_layers(self) -> int | None:
        """Number of layers on the main path without the head; None where it would take a recorded step to know."""
        return self._numbering.hidden_layers

    def start(self, step: int, *, force: bool = False) -> bool:
        """Begin a step, before its forward pass; return whether it is recorded.

        Args:
            step: Number of the step.
            force: Record it in full whatever the interval says.
        """
        edge = step in self._edges or force
        self.recording = bool(self._layers) and (force or self.due(step))
        self.full = self.recording and (edge or (step // self.every) % self.full_every == 0)
        self.step = step
        if self.recording:
            self._numbering.start()
            self._switch.on, self._ahead = True, False
            for layer in self._layers:
                layer.start(full=self.full)
        return self.recording

    def read_ahead(self) -> None:
        """Read the weights now, and their gradients with every backward pass: in place of `after_backward`.

        For a loop that does not report the end of its backward pass: call it after `start`, then `after_update`.
        """
        self._ahead = True
        for layer in self._layers if self.recording else ():
            layer.weight.read_ahead(full=self.full)

    @property
    def unrolls(self) -> bool:
        """Whether the model is one to `unroll`."""
        return hasattr(self._model, "unrolled")

    def unroll(self, inputs: Tensor, loss: Callable[[Tensor], Tensor], *, scale: Tensor | float = 1.0) -> None:
        """Read a recurrent model's signal and gradient at every time step, before the step's own forward pass.

        That is a pass of its own (`timesteps`), in which the hooks do not listen; the weights' columns come from the
        step itself.

        Args:
            inputs: The step's batch.
            loss: Maps the model's outputs to the step's loss.
            scale: What the step's own backward pass multiplies the loss by.
        """
        self._switch.on = False
        passes = timesteps.unroll(self._model, inputs, lambda outputs: scale * loss(outputs))
        self._switch.on = True
        for found in passes:
            parts = set(found.seen.layer.children())
            layers = [layer for layer in self._layers if layer.point.affine in parts]
            timesteps.put(layers, found, self._gauge, full=self.full)
            if layers:
                name = layers[0].name.rpartition(".")[0]
                self._times.append(
                    ((self.step, layers[0].point.depth_index, name), found.norms(self._gauge, scale=scale))
                )

    def read_shares(
        self,
        main: Tensor,
        heads: Mapping[str, Tensor],
        *,
        weight: float,
        scale: Callable[[Tensor], Tensor] = lambda loss: loss,
    ) -> None:
        """Read what auxiliary heads bring to each layer, between forward and backward pass.

        A step that is not recorded in full records their losses only.

        Args:
            main: The model's own loss.
            heads: Each head's loss by its name.
            weight: Factor on the heads' losses in the loss that is trained on.
            scale: What is done to a loss before its backward pass: a multiplication.
        """
        if not self.recording:
            return
        layers = [layer for layer in self._called() if self.full and layer.weight.used is not None]
        self._switch.on = False  # the hooks would take these gradients for the step's own
        shares = gradient_shares(
            main,
            {name: weight * loss for name, loss in heads.items()},
            [layer.weight.used for layer in layers],
            scale=scale,
        )
        self._switch.on = True
        for name, loss in heads.items():
            key = (self.step, name, loss.detach().double())
            found = [
                (*key, layer.point.depth_index, layer.name, *share)
                for layer, share in zip(layers, shares[name], strict=True)
                if share is not None
            ]
            self._shares.extend(found or [(*key, None, None, None, None)])

    def after_backward(self, *, scale: Tensor | None = None) -> None:
        """Read the weights and their gradients, before they are clipped.

        Args:
            scale: What the loss was multiplied by in the backward pass, a power of two, if anything; the parameters'
                own gradients have been divided by it again.
        """
        for layer in self._called():
            if scale is not None:
                layer.unscale(scale if self._waits else float(scale))
            layer.weight.read(full=self.full)

    def after_clipping(self) -> None:
        """Read the clipped gradients."""
        if self.full:
            for layer in self._called():
                layer.weight.read_clipped()

    def after_update(self) -> None:
        """Read how far the weights moved, and end the step."""
        # Whose model names its points has no forward pass that might write to W behind torch's back; and where the
        # weights are read ahead, that is at once.
        onward = self.due(self.step + 1) and (self._ahead or hasattr(self._model, "points"))
        for layer in reversed(self._called()):  # those that were updated last are still in the cache
            layer.weight.read_update(onward=onward)
        self.end()

    def end(self) -> None:
        """End the step without an update: its rows are complete, the hooks go unless the next step wants them."""
        if not self.recording:
            return
        self._numbering.finish()
        rows, place, lags = [], self._numbering.place, self._lags if self.full else ()
        for layer in self._called():
            depth_index, role = place(layer.point)
            rows.append((self.step, depth_index, layer.name, role, *layer.figures(full=self.full)))
            for lag in lags:
                found = layer.neighbours(lag)
                self._neighbours += [] if found is None else [(self.step, depth_index, layer.name, lag, found)]
        self._rows.extend(sorted(rows, key=itemgetter(1)) if self._numbering.by_calls else rows)
        self.recording = self._switch.on = False
        if self.every > 1 or self.step == self.last:
            self.close()

    def take(self) -> Recording:
        """Return what was recorded since the last call.

        Figures that are still on a device are copied to the host here, in one block for each table.
        """
        rows, self._rows = self._rows, []
        shares, self._shares = self._shares, []
        times, self._times = self._times, []
        neighbours, self._neighbours = self._neighbours, []
        return Recording(
            layers=_brought_over(rows) if self._waits else rows,
            shares=_brought_over(shares),
            timesteps=[(*key, time, *norms) for key, table in times for time, norms in enumerate(table.tolist())],
            neighbours=_brought_over(neighbours),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what outlives a step: how the layers are numbered."""
        return self._numbering.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``."""
        self._numbering.load_state_dict(state)

    def close(self) -> None:
        """Remove every hook."""
        self._numbering.stop()
        for layer in self._layers:
            layer.stop()

    def _called(self) -> Sequence[LayerProbe]:
        """Return the layers that were called in this step."""
        return [layer for layer in self._layers if layer.called] if self.recording else []


def _names(model: nn.Module, points: Sequence[Point]) -> dict[Point, str]:
    """Return each layer's name: that of the module that holds the weight, and the weight's own if unusual."""
    modules = {module: name for name, module in model.named_modules()}
    own = {point: "" if point.weight == "weight" else point.weight for point in points}
    return {p: ".".join(filter(None, (modules[p.affine], own[p]))) or type(p.affine).__name__ for p in points}


def _brought_over(rows: list[Row]) -> list[Row]:
    """Return the rows with numbers in place of tensors, which come from the device in one block."""
    tensors = [value for row in rows for value in row if isinstance(value, Tensor)]
    floats = iter(torch.stack(tensors).tolist() if tensors else ())
    return [tuple(next(floats) if isinstance(value, Tensor) else value for value in row) for row in rows]
