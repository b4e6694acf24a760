"""Gradient flow at the first and the last recorded step, read from a run's files without importing torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradlab.artifacts.read import DH, DZ, Cells, read_first_and_last
from gradlab.artifacts.record import RunRecord
from gradlab.diagnosis.flow import DEPTH, TIME, Axis, measure_flow


@dataclass(frozen=True, kw_only=True)
class Observation:
    """Gradient norms along one axis at one recorded step.

    Attributes:
        when: ``initial`` or ``final``.
        axis: Depth or time.
        step: The recorded step; None if nothing was recorded.
        places: depth_index of each hidden layer, or each time step, in ascending order.
        whole: Whether the first and the last place were recorded, so that their ratio spans the whole axis.
        received: Incoming gradient norm at each place: of dL/dz, or of the recurrent state that carries the memory. In
            a net with skips it is that of dL/dh, which a branch whose weights are zero does not block.
        column: Name of the column that ``received`` comes from.
    """

    when: str
    axis: Axis
    step: int | None
    places: list[int]
    whole: bool
    received: list[float]
    column: str


def observe(folder: Path, record: RunRecord) -> list[Observation]:
    """Return the observations at the first and at the last recorded step, each over depth, then over time.

    Args:
        folder: The run's folder, with complete tables.
        record: The content of run.json so far, of which ``hidden_layers`` and ``growth`` are used.

    Raises:
        ValueError: A table is broken.
    """
    hidden, growth = record.get("hidden_layers"), record.get("growth")
    depths = (growth[0]["depth_before"] if growth else hidden, hidden)
    layers = read_first_and_last(folder / "gradients.csv")
    times = read_first_and_last(folder / "timesteps.csv")
    return [
        observation
        for when, rows, states, depth in zip(("initial", "final"), layers, times, depths, strict=True)
        for observation in _at_one_step(when, rows, states, hidden=depth)
    ]


def flow_metrics(observations: Iterable[Observation]) -> dict[str, Any]:
    """Return the ratios and slopes of the gradient flow, under their keys in run.json's ``metrics``."""
    measured: dict[str, Any] = {}
    for item in observations:
        ratio = "time_gradient_ratio" if item.axis is TIME else "gradient_ratio"
        slope = "decades_per_time_step" if item.axis is TIME else "decades_per_layer"
        measured |= _measure(item, f"{ratio}_{item.when}", f"{slope}_{item.when}")
    return measured


def remembered(states: Sequence[Cells]) -> tuple[list[int], list[float]]:
    """Return the time steps of the first recurrent layer, and the gradient norm of its memory at each.

    The memory is an LSTM's cell state, and the hidden state of other cells. The first layer is the farthest from the
    loss.

    Args:
        states: Rows of timesteps.csv for one recorded step; one or more.
    """
    column = list(states[0])[-1]
    first = [
        row for row in states if (row["depth_index"], row["layer"]) == (states[0]["depth_index"], states[0]["layer"])
    ]
    return [row["time"] for row in first], [row[column] for row in first]


def _at_one_step(
    when: str, rows: Sequence[Cells], states: Sequence[Cells], *, hidden: int | None
) -> Iterable[Observation]:
    inner = [row for row in rows if row["role"] == "main" and row["depth_index"] <= (hidden or 0)]
    # torch's recurrent kernels do not expose z: the ratio uses the first and the last layer that do.
    # A log of another program may lack the column; then each layer with a gradient counts.
    exposed = [row for row in inner if row.get("preactivation_norm", row[DZ]) is not None]
    main = [row for row in exposed if row[DZ] is not None]
    whole = bool(main) and (inner[0]["depth_index"], inner[-1]["depth_index"]) == (1, hidden)
    # A branch whose weights start at zero passes no gradient, but its skip does, which only dL/dh includes.
    skips = any(row.get("skip_grad_norm") is not None for row in main)
    column = DH if skips else DZ
    yield Observation(
        when=when,
        axis=DEPTH,
        step=rows[0]["step"] if rows else None,
        places=[row["depth_index"] for row in main],
        whole=whole and (main[0], main[-1]) == (exposed[0], exposed[-1]),
        received=[row[column] for row in main],
        column=column,
    )
    if states:
        places, norms = remembered(states)
        yield Observation(
            when=when,
            axis=TIME,
            step=states[0]["step"],
            places=places,
            whole=True,
            received=norms,
            column=list(states[0])[-1],
        )


def _measure(item: Observation, ratio: str, decades: str) -> dict[str, Any]:
    """Return the ratio, None unless both ends were recorded, and the slope, None for fewer than two places."""
    flow = measure_flow(item.places, item.received)
    slope = flow if len(item.places) > 1 else None
    return {
        ratio: flow.ratio if item.whole else None,
        decades: slope and slope.decades_per_layer,
        f"{decades}_low": slope and slope.low,
        f"{decades}_high": slope and slope.high,
    }
