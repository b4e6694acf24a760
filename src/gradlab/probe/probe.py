"""The probe: chooses the steps to record and collects their rows for a run's tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn

from gradlab.probe import gauge_device as device_gauge
from gradlab.probe import gauge_host as host_gauge
from gradlab.probe import timesteps
from gradlab.probe.catcher import Switch
from gradlab.probe.discovery import find_points, layer_names
from gradlab.probe.gauge import Gauge
from gradlab.probe.layer import LayerProbe
from gradlab.probe.numbering import Numbering
from gradlab.probe.recording import Recording, Row
from gradlab.probe.shares import gradient_shares

_HOST: Gauge[float] = host_gauge
_DEVICE: Gauge[Tensor] = device_gauge


class Probe:
    """Records the gradient flow through a model during its training.

    For each step call `start`, do the forward and backward pass, then call `after_backward`, clip, `after_clipping`,
    update, `after_update`. Steps that are not recorded have no hooks. Training is unchanged, bit for bit: the
    random state is restored, and no parameter or gradient is written. `take` returns the rows.

    Args:
        model: Any module; a method ``points()`` may return the layers to record.
        every: Record each ``every``-th step, the first and the last; 0 records nothing.
        full_every: Record all columns at each ``full_every``-th recorded step, the first and the last.
        last: Number of the last step; -1 if unknown.
        layers: Patterns of layer names (as in a shell) to record.
        also: Further steps to record in full.
        neighbours: Distances in the batch between the samples whose dL/dz are compared, in full records only; for data
            in a meaningful order.
        gauge: Computes the figures; None chooses one by the model's device. For K fused runs it is a `BatchedGauge`,
            and rows hold lists of K figures.

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
        self._on_device = self._gauge is not _HOST
        self._switch = Switch()
        self._layers: list[LayerProbe] = []
        self._reads_ahead = False
        self._rows: list[Row] = []
        self._shares: list[Row] = []
        self._lags, self._neighbours = tuple(neighbours), list[Row]()
        self._times: list[tuple[Row, Tensor]] = []
        self.find_layers()

    def find_layers(self) -> None:
        """Find the layers of the model; call it again, between two steps, after they changed.

        Raises:
            ValueError: If the patterns match no layer, or the model has none.
        """
        points = find_points(self._model)
        for layer in self._layers:
            layer.stop()
        self._numbering = Numbering(points)
        names = layer_names(self._model, points)
        chosen = [p for p in points if any(fnmatchcase(names[p], pattern) for pattern in self._patterns)]
        if not chosen:
            known = ", ".join(names[p] for p in points[:5])
            raise ValueError(f"layers={list(self._patterns)} matches no layer; there are {known}, …")
        self._layers = [LayerProbe(p, names[p], self._gauge, self._switch) for p in chosen] if self.every else []

    def due(self, step: int) -> bool:
        """Return whether a step is recorded."""
        return bool(self._layers) and (step in self._edges or step % self.every == 0)

    @property
    def hidden_layers(self) -> int | None:
        """Number of layers on the main path without the head; None until a recorded step has numbered them."""
        return self._numbering.hidden_layers

    def start(self, step: int, *, force: bool = False) -> bool:
        """Begin a step, before its forward pass, and return whether it is recorded.

        Args:
            step: Number of the step.
            force: Record it in full whatever the interval.
        """
        edge = step in self._edges or force
        self.recording = bool(self._layers) and (force or self.due(step))
        self.full = self.recording and (edge or (step // self.every) % self.full_every == 0)
        self.step = step
        if self.recording:
            self._numbering.start()
            self._switch.on, self._reads_ahead = True, False
            for layer in self._layers:
                layer.start(full=self.full)
        return self.recording

    def read_ahead(self) -> None:
        """Read the weights now, and their gradients with every backward pass: in place of `after_backward`.

        For a loop that does not report the end of its backward pass: call it after `start`, then `after_update`.
        """
        self._reads_ahead = True
        for layer in self._layers if self.recording else ():
            layer.weight.read_ahead(full=self.full)

    @property
    def unrolls(self) -> bool:
        """Whether the model is recurrent and can be unrolled, by its method ``unrolled()``."""
        return hasattr(self._model, "unrolled")

    def unroll(self, inputs: Tensor, loss: Callable[[Tensor], Tensor], *, scale: Tensor | float = 1.0) -> None:
        """Record a recurrent model's signal and gradient at every time step, before the step's own forward pass.

        This is a separate pass (`timesteps`) with the hooks off. The columns of the weights come from the step itself.

        Args:
            inputs: The step's batch.
            loss: Maps the model's outputs to the step's loss, 0-d.
            scale: Loss scale of the step's own backward pass.
        """
        self._switch.on = False
        layer_passes = timesteps.unroll(self._model, inputs, lambda outputs: scale * loss(outputs))
        self._switch.on = True
        for layer_pass in layer_passes:
            parts = set(layer_pass.seen.layer.children())
            layers = [layer for layer in self._layers if layer.point.affine in parts]
            timesteps.put(layers, layer_pass, self._gauge, full=self.full)
            if layers:
                name = layers[0].name.rpartition(".")[0]
                self._times.append(
                    ((self.step, layers[0].point.depth_index, name), layer_pass.norms(self._gauge, scale=scale))
                )

    def read_shares(
        self,
        main: Tensor,
        heads: Mapping[str, Tensor],
        *,
        weight: float,
        scale: Callable[[Tensor], Tensor] = lambda loss: loss,
    ) -> None:
        """Record the gradient of each auxiliary head's loss at each layer, between forward and backward pass.

        A step that is not recorded in full records the losses only.

        Args:
            main: The model's own loss.
            heads: Each head's loss by its name.
            weight: Factor on the heads' losses in the training loss.
            scale: Multiplies a loss before its backward pass.
        """
        if not self.recording:
            return
        layers = [layer for layer in self._called() if self.full and layer.weight.used is not None]
        self._switch.on = False  # these backward passes are not the step's own
        shares = gradient_shares(
            main,
            {name: weight * loss for name, loss in heads.items()},
            [layer.weight.used for layer in layers],
            scale=scale,
        )
        self._switch.on = True
        for name, loss in heads.items():
            key = (self.step, name, loss.detach().double())
            rows = [
                (*key, layer.point.depth_index, layer.name, *share)
                for layer, share in zip(layers, shares[name], strict=True)
                if share is not None
            ]
            self._shares.extend(rows or [(*key, None, None, None, None)])

    def after_backward(self, *, scale: Tensor | None = None) -> None:
        """Read the weights and their gradients, before they are clipped.

        Args:
            scale: Loss scale of the backward pass, a power of two, or None. The parameters' own gradients must be
                divided by it already.
        """
        for layer in self._called():
            if scale is not None:
                layer.unscale(scale if self._on_device else float(scale))
            layer.weight.read(full=self.full)

    def after_clipping(self) -> None:
        """Read the clipped gradients."""
        if self.full:
            for layer in self._called():
                layer.weight.read_clipped()

    def after_update(self) -> None:
        """Read how far the weights moved, and end the step."""
        # W is read for the next step only where no uncounted write can come in between: a model with points() makes
        # none in its forward pass, and `read_ahead` reads W before that.
        for_next_step = self.due(self.step + 1) and (self._reads_ahead or hasattr(self._model, "points"))
        for layer in reversed(self._called()):  # those that were updated last are still in the cache
            layer.weight.read_update(for_next_step=for_next_step)
        self.end()

    def end(self) -> None:
        """End the step without an update: complete its rows, and remove the hooks unless every step is recorded."""
        if not self.recording:
            return
        self._numbering.finish()
        rows, place, lags = [], self._numbering.place, self._lags if self.full else ()
        for layer in self._called():
            depth_index, role = place(layer.point)
            rows.append((self.step, depth_index, layer.name, role, *layer.figures(full=self.full)))
            for lag in lags:
                cosine = layer.neighbours(lag)
                self._neighbours += [] if cosine is None else [(self.step, depth_index, layer.name, lag, cosine)]
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
            layers=_on_host(rows) if self._on_device else rows,
            shares=_on_host(shares),
            timesteps=[(*key, time, *norms) for key, table in times for time, norms in enumerate(table.tolist())],
            neighbours=_on_host(neighbours),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the numbering of the layers, the only state that outlives a step."""
        return self._numbering.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore ``state``."""
        self._numbering.load_state_dict(state)

    def close(self) -> None:
        """Remove every hook."""
        self._numbering.stop()
        for layer in self._layers:
            layer.stop()

    def _called(self) -> Sequence[LayerProbe]:
        """Return the layers that were called in this step."""
        return [layer for layer in self._layers if layer.called] if self.recording else []


def _on_host(rows: list[Row]) -> list[Row]:
    """Return the rows with tensors replaced by numbers, which are copied from the device in one block."""
    tensors = [value for row in rows for value in row if isinstance(value, Tensor)]
    floats = iter(torch.stack(tensors).tolist() if tensors else ())
    return [tuple(next(floats) if isinstance(value, Tensor) else value for value in row) for row in rows]
