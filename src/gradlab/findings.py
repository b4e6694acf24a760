"""From the recorded rows of a run to the figures and verdicts of its run.json."""

from typing import Any

from gradlab.diagnosis.flow import Thresholds, diagnose_flow, measure_flow
from gradlab.history import History
from gradlab.probe.columns import COLUMNS

_ROLE, _GRAD, _OUTPUT_GRAD, _SKIP = (
    COLUMNS.index(name) for name in ("role", "preactivation_grad_norm", "activation_grad_norm", "skip_grad_norm")
)


def find(history: History, thresholds: Thresholds, *, hidden: int, smallest: float) -> dict[str, Any]:
    """Return ``metrics`` and ``verdicts`` of run.json; what was not measured is None."""
    measured: dict[str, Any] = {
        name: history.metrics.get(name) for name in ("train_loss", "eval_loss", "eval_accuracy")
    }
    measured |= {"recorded_steps": history.recorded_steps, "clipped_steps": history.clipped_steps}
    verdicts = []
    for when, rows in (("initial", history.first), ("final", history.last)):
        main = [row for row in rows if row[_ROLE] == "main" and row[1] <= hidden and row[_GRAD] is not None]
        depths, norms = [row[1] for row in main], [row[_GRAD] for row in main]
        flow = measure_flow(depths, norms) if len(main) > 1 else None
        whole = flow is not None and (depths[0], depths[-1]) == (1, hidden)
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
