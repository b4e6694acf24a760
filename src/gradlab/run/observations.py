"""The gradient flow at the first and at the last recorded step, from the files of a run; torch is never imported."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradlab.artifacts.read import Cells, read_first_and_last
from gradlab.artifacts.record import RunRecord
from gradlab.diagnosis.flow import DEPTH, TIME, Axis, measure_flow


@dataclass(frozen=True, kw_only=True)
class Observation:
    """The gradient along one axis at one recorded step.

    Attributes:
        when: ``initial`` or ``final``.
        axis: What the gradient travels along.
        step: The recorded step; None where nothing was recorded.
        places: depth_index of each hidden layer, or each time step, rising.
        norms: Gradient norm at each place: dL/dz, or the gradient of the state that remembers.
        whole: Whether the first and the last place are among them, so that their ratio is that of the whole way.
        received: What each place receives: in a net with skips dL/dh, which a branch at zero does not block.
        column: The column of ``received``.
    """

    when: str
    axis: Axis
    step: int | None
    places: list[int]
    norms: list[float]
    whole: bool
    received: list[float]
    column: str


def observe(folder: Path, record: RunRecord) -> list[Observation]:
    """Return what a run's tables hold of the first and of the last recorded step, each over depth, then over time.

    Args:
        folder: The run's folder, its tables complete.
        record: Its run.json as far as it is known: ``hidden_layers`` and ``growth``.

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
    """Return the ratios and slopes of the gradient flow as ``metrics`` of run.json has them."""
    measured: dict[str, Any] = {}
    for one in observations:
        over = "time_gradient_ratio" if one.axis is TIME else "gradient_ratio"
        slope = "decades_per_time_step" if one.axis is TIME else "decades_per_layer"
        measured |= _measure(one, f"{over}_{one.when}", f"{slope}_{one.when}")
    return measured


def remembered(states: Sequence[Cells]) -> tuple[list[int], list[float]]:
    """Return the time steps of one step's first recurrent layer, and the gradient norm of the state that remembers.

    That is an LSTM's cell state, for which the hidden state is only what the gates let out, and else the hidden state.
    The first layer is the farthest from the loss, in depth as in time.
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
    # Inside of torch's own kernels no z can be seen: the ratio is that of the first and last layer where it can.
    seen = [row for row in inner if row["preactivation_norm"] is not None]
    main = [row for row in seen if row["preactivation_grad_norm"] is not None]
    whole = bool(main) and (inner[0]["depth_index"], inner[-1]["depth_index"]) == (1, hidden)
    # A branch that starts at zero passes no gradient, but the skip beside it does: dL/dh shows that.
    skips = any(row["skip_grad_norm"] is not None for row in main)
    column = "activation_grad_norm" if skips else "preactivation_grad_norm"
    yield Observation(
        when=when,
        axis=DEPTH,
        step=rows[0]["step"] if rows else None,
        places=[row["depth_index"] for row in main],
        norms=[row["preactivation_grad_norm"] for row in main],
        whole=whole and (main[0], main[-1]) == (seen[0], seen[-1]),
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
            norms=norms,
            whole=True,
            received=norms,
            column=list(states[0])[-1],
        )


def _measure(one: Observation, ratio: str, decades: str) -> dict[str, Any]:
    """Return the ratio, where both ends were recorded, and the slope, where there are two places or more."""
    flow = measure_flow(one.places, one.norms)
    slope = flow if len(one.places) > 1 else None
    return {
        ratio: flow.ratio if one.whole else None,
        decades: slope and slope.decades_per_layer,
        f"{decades}_low": slope and slope.low,
        f"{decades}_high": slope and slope.high,
    }
