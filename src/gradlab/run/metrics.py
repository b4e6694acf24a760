"""From the recorded rows of a run to the figures and verdicts of its run.json."""

from collections.abc import Sequence
from typing import Any

from gradlab.diagnosis.flow import DEPTH, TIME, Axis, diagnose_flow, measure_flow
from gradlab.diagnosis.signal import detailed
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.probe.columns import COLUMNS, TIMESTEP_KEYS
from gradlab.probe.columns import TIMESTEPS as TIMES
from gradlab.probe.recording import Row
from gradlab.run.history import History
from gradlab.run.verdicts import described

_ROLE, _SIGNAL, _GRAD, _OUTPUT_GRAD, _SKIP = (
    COLUMNS.index(name)
    for name in ("role", "preactivation_norm", "preactivation_grad_norm", "activation_grad_norm", "skip_grad_norm")
)


def find(
    history: History, thresholds: Thresholds, *, hidden: int | None, hidden_at_first: int | None = None, smallest: float
) -> dict[str, Any]:
    """Return ``metrics`` and ``verdicts`` of run.json; what was not measured is None.

    Args:
        history: The first and last recorded rows.
        thresholds: What counts as vanishing and exploding.
        hidden: Number of hidden layers; None only where there are no rows.
        hidden_at_first: Number of them at the start, where the network has grown since; None where it has not.
        smallest: Smallest normal number of the gradients' type.
    """
    measured: dict[str, Any] = {
        name: history.metrics.get(name) for name in ("train_loss", "eval_loss", "eval_accuracy")
    }
    measured |= {"recorded_steps": history.recorded_steps, "clipped_steps": history.clipped_steps}
    verdicts: list[dict[str, Any]] = []

    def add(where: list[int], norms: list[float], *, axis: Axis, when: str, step: int, column: str) -> None:
        found = diagnose_flow(where, norms, thresholds, smallest=smallest, axis=axis)
        whole = detailed(found, where, norms, thresholds, axis=axis, step=step, column=column)
        verdicts.append(described(whole, when=when))

    moments = (
        ("initial", history.first, history.first_times, hidden_at_first or hidden),
        ("final", history.last, history.last_times, hidden),
    )
    for when, rows, times, depth in moments:
        inner = [row for row in rows if row[_ROLE] == "main" and row[1] <= (depth or 0)]
        # Inside of torch's own kernels no z can be seen: the ratio is that of the first and last layer where it can.
        seen = [row for row in inner if row[_SIGNAL] is not None]
        main = [row for row in seen if row[_GRAD] is not None]
        depths, norms = [row[1] for row in main], [row[_GRAD] for row in main]
        whole = bool(main) and (inner[0][1], inner[-1][1]) == (1, depth)
        whole = whole and (main[0], main[-1]) == (seen[0], seen[-1])
        measured |= _flow(depths, norms, f"gradient_ratio_{when}", f"decades_per_layer_{when}", whole=whole)
        if rows:
            # A branch that starts at zero passes no gradient, but the skip beside it does: there dL/dh tells.
            skips = any(row[_SKIP] is not None for row in main)
            received = [row[_OUTPUT_GRAD] for row in main] if skips else norms
            column = COLUMNS[_OUTPUT_GRAD if skips else _GRAD]
            add(depths, received, axis=DEPTH, when=when, step=rows[0][0], column=column)
        if times:
            time, norms = remembered(times)
            measured |= _flow(time, norms, f"time_gradient_ratio_{when}", f"decades_per_time_step_{when}", whole=True)
            add(time, norms, axis=TIME, when=when, step=times[0][0], column=TIMES[len(times[0]) - 1])
    return {"metrics": measured, "verdicts": verdicts, "theory": None}


def remembered(times: Sequence[Row]) -> tuple[list[int], list[float]]:
    """Return the time steps of one step's first recurrent layer, and the gradient norm of the state that remembers.

    That is an LSTM's cell state, for which the hidden state is only what the gates let out, and else the hidden state.
    The first layer is the farthest from the loss, in depth as in time.
    """
    first = [row for row in times if row[1:3] == times[0][1:3]]
    return [row[len(TIMESTEP_KEYS) - 1] for row in first], [row[-1] for row in first]


def _flow(places: list[int], norms: list[float], ratio: str, decades: str, *, whole: bool) -> dict[str, Any]:
    """Return the ratio, where both ends were recorded, and the slope, where there are two places or more."""
    flow = measure_flow(places, norms)
    slope = flow if len(places) > 1 else None
    return {
        ratio: flow.ratio if whole else None,
        decades: slope and slope.decades_per_layer,
        f"{decades}_low": slope and slope.low,
        f"{decades}_high": slope and slope.high,
    }
