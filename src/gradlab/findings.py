"""From the recorded rows of a run to the figures and verdicts of its run.json."""

from typing import Any

from gradlab.diagnosis.flow import Thresholds, diagnose_flow, measure_flow
from gradlab.history import History
from gradlab.probe.columns import COLUMNS

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
    verdicts = []
    for when, rows, depth in (("initial", history.first, hidden_at_first or hidden), ("final", history.last, hidden)):
        inner = [row for row in rows if row[_ROLE] == "main" and row[1] <= (depth or 0)]
        # Inside of torch's own kernels no z can be seen: the ratio is that of the first and last layer where it can.
        seen = [row for row in inner if row[_SIGNAL] is not None]
        main = [row for row in seen if row[_GRAD] is not None]
        depths, norms = [row[1] for row in main], [row[_GRAD] for row in main]
        flow = measure_flow(depths, norms) if len(main) > 1 else None
        whole = flow is not None and (inner[0][1], inner[-1][1]) == (1, depth)
        whole = whole and (main[0], main[-1]) == (seen[0], seen[-1])
        measured |= {
            f"gradient_ratio_{when}": flow.ratio if flow and whole else None,
            f"decades_per_layer_{when}": flow and flow.decades_per_layer,
            f"decades_per_layer_{when}_low": flow and flow.low,
            f"decades_per_layer_{when}_high": flow and flow.high,
        }
        if rows:
            # A branch that starts at zero passes no gradient, but the skip beside it does: there dL/dh tells.
            skips = any(row[_SKIP] is not None for row in main)
            received = [row[_OUTPUT_GRAD] for row in main] if skips else norms
            verdict = diagnose_flow(depths, received, thresholds, smallest=smallest)
            verdicts.append({"when": when, "step": rows[0][0], "name": verdict.name, "sentence": verdict.sentence})
    return {"metrics": measured, "verdicts": verdicts, "theory": None}
