"""Limits that a finished run must meet to pass, for CI jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Annotated, Any

from pydantic import AllowInfNan

from gradlab.diagnosis.causes import FAULTS
from gradlab.diagnosis.flow import FLOW
from gradlab.diagnosis.verdict import VerdictRecord

RATIOS = {"gradient ratio": "gradient_ratio_final", "gradient ratio over time": "time_gradient_ratio_final"}
_ON_FLOW = {*FLOW} - {"healthy", "shallow"}
_STATUS = "diverged"  # both a status and a verdict, but reported once


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Limits that a finished run must meet; with the defaults every run passes.

    Attributes:
        min_gradient_ratio: Smallest ratio that passes: the gradient norm of the first hidden layer over the last at the
            last recorded step and, in recurrent networks, of the first time step over the last; 0 for no limit.
        max_gradient_ratio: Largest such ratio that passes; inf for no limit.
        min_accuracy: Smallest final accuracy on the test set that passes, in [0, 1]; 0 for no limit.
        fail_on: Verdicts at the last recorded step, and the status ``diverged``, with which a run fails.
        junit: File for the outcome as JUnit XML, relative to the working directory; empty for none.

    Raises:
        ValueError: If a limit can never be met or a name in ``fail_on`` is unknown.
    """

    min_gradient_ratio: float = 0.0
    max_gradient_ratio: Annotated[float, AllowInfNan(True)] = inf
    min_accuracy: float = 0.0
    fail_on: Sequence[str] = field(default_factory=tuple)
    junit: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.min_gradient_ratio <= self.max_gradient_ratio:
            limits = f"{self.min_gradient_ratio} and {self.max_gradient_ratio}"
            raise ValueError(f"min_gradient_ratio must lie between 0 and max_gradient_ratio, got {limits}")
        if not 0 <= self.min_accuracy <= 1:
            raise ValueError(f"min_accuracy must lie between 0 and 1, got {self.min_accuracy}")
        unknown = [name for name in self.fail_on if name not in FAULTS]
        if unknown:
            raise ValueError(
                f"fail_on has unknown verdicts {', '.join(unknown)}; known are {', '.join(sorted(FAULTS))}"
            )

    def reasons(
        self,
        *,
        status: str,
        metrics: Mapping[str, Any],
        verdicts: Sequence[VerdictRecord],
        hidden_layers: int | None = None,
    ) -> list[str]:
        """Return the reasons why a run does not pass, one sentence each; empty if it passes.

        A limited figure that was not measured, or is nan, does not pass. Nor does a net whose first or last hidden
        layer was not recorded pass a gate that forbids verdicts on the gradient flow.

        Args:
            status: How the run ended.
            metrics: Its metrics as in run.json, where infinities and nan may be strings.
            verdicts: Its verdicts as in run.json.
            hidden_layers: Number of its hidden layers; None if unknown.
        """
        reasons = []
        if self.min_gradient_ratio > 0 or self.max_gradient_ratio < inf:
            limits = f"[{self.min_gradient_ratio:g}, {self.max_gradient_ratio:g}]"
            measured = {name: ratio for name, key in RATIOS.items() if (ratio := metrics.get(key)) is not None}
            if not measured:
                reasons.append(f"gradient ratio was not measured; it must lie in {limits}")
            for name, ratio in measured.items():
                if not self.min_gradient_ratio <= float(ratio) <= self.max_gradient_ratio:
                    reasons.append(f"{name} {float(ratio):.3g} lies outside {limits}")
        accuracy = metrics["eval_accuracy"]
        if self.min_accuracy > 0 and accuracy is None:
            reasons.append(f"accuracy was not measured; it must be at least {self.min_accuracy:g}")
        elif self.min_accuracy > 0 and not float(accuracy) >= self.min_accuracy:
            reasons.append(f"accuracy {float(accuracy):.3g} is below {self.min_accuracy:g}")
        if status in self.fail_on:
            reasons.append(f"the run {status}")
        last = [verdict for verdict in verdicts if verdict["when"] == "final"]
        if set(self.fail_on) - {_STATUS} and not last:
            reasons.append("no gradient was recorded (probe.every=0, or a range test), so there is nothing to judge")
        elif hidden_layers and _ON_FLOW & {*self.fail_on} and all(metrics.get(key) is None for key in RATIOS.values()):
            reasons.append(
                f"the gradient flow was not seen: layer 1 or {hidden_layers}, the last hidden one, was not recorded "
                "(probe.layers leaves it out, or it has no gradient)"
            )
        reported = {_STATUS} if status == _STATUS else set()
        reasons += [verdict["sentence"] for verdict in last if verdict["name"] in set(self.fail_on) - reported]
        return reasons
