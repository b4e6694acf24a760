"""Rule about memory: whether the gradient reaches back in time as far as the task needs."""

import numpy as np

from gradlab.diagnosis.evidence import Evidence, at_end
from gradlab.diagnosis.progress import Progress
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.diagnosis.verdict import Verdict


def short_memory(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect a recurrent net whose gradient vanishes before it has gone back over the task's lag."""
    lag, steps = evidence.setting.lag, evidence.times.shape[1]
    if progress.learned or lag is None or not 0 < lag < steps:
        return []
    norms = at_end(evidence.times)
    whole = float(np.nanmax(norms, initial=0.0))
    if not np.isfinite(norms).all() or whole == 0:
        return []
    reached = np.flatnonzero(norms >= limits.vanishing_ratio * whole)
    reach, ratio = steps - 1 - int(reached[0]), float(norms[steps - 1 - lag] / whole)
    if reach >= lag:
        return []
    sentence = (
        f"memory is too short: within {reach + 1} time steps back the gradient falls below {limits.vanishing_ratio:g} "
        f"of its largest value, but the task needs {lag}"
    )
    return [
        Verdict(
            name="short_memory", sentence=sentence, over="time", step=int(evidence.time_steps[-1]),
            column="hidden_grad_norm", value=ratio, threshold=limits.vanishing_ratio,
            source="Hochreiter & Schmidhuber 1997; Bengio et al. 1994",
        )
    ]  # fmt: skip
