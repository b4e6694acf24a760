"""Is the gradient flow good enough to pass? Limits for a CI job, and what a run's figures say to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Annotated, Any

from pydantic import AllowInfNan

from gradlab.diagnosis.causes import FAULTS

RATIOS = {"gradient ratio": "gradient_ratio_final", "gradient ratio over time": "time_gradient_ratio_final"}
_STATUS = "diverged"  # a status as well as a verdict: one reason is enough


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Limits that a finished run must keep; the defaults let everything pass.

    Attributes:
        min_gradient_ratio: Least first over last hidden layer's gradient norm at the last recorded step, in recurrent
            networks first over last time step's, too; 0 for any.
        max_gradient_ratio: Greatest; inf for any.
        min_accuracy: Least final accuracy on the test set, in [0, 1]; 0 for any.
        fail_on: Verdicts at the last recorded step, and ``diverged``, that do not pass.
        junit: File to write the outcome to as JUnit XML, relative to the working directory; empty for none.

    Raises:
        ValueError: If a limit can never be kept or a name in ``fail_on`` is unknown.
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
            raise ValueError(f"fail_on does not know {', '.join(unknown)}; it knows {', '.join(sorted(FAULTS))}")

    def reasons(self, record: Mapping[str, Any]) -> list[str]:
        """Return why a run does not pass, one sentence each; none where it does.

        A figure with a limit that was not measured, or is not a number, does not pass.

        Args:
            record: Content of the run's run.json, as written (infinities and nan may be words).
        """
        metrics, found = record["metrics"], []
        if self.min_gradient_ratio > 0 or self.max_gradient_ratio < inf:
            limits = f"[{self.min_gradient_ratio:g}, {self.max_gradient_ratio:g}]"
            measured = {name: metrics.get(key) for name, key in RATIOS.items() if metrics.get(key) is not None}
            if not measured:
                found.append(f"gradient ratio was not measured; it must lie in {limits}")
            for name, ratio in measured.items():
                if not self.min_gradient_ratio <= float(ratio) <= self.max_gradient_ratio:
                    found.append(f"{name} {float(ratio):.3g} lies outside {limits}")
        accuracy = metrics["eval_accuracy"]
        if self.min_accuracy > 0 and accuracy is None:
            found.append(f"accuracy was not measured; it must be at least {self.min_accuracy:g}")
        elif self.min_accuracy > 0 and not float(accuracy) >= self.min_accuracy:
            found.append(f"accuracy {float(accuracy):.3g} is below {self.min_accuracy:g}")
        if record["status"] in self.fail_on:
            found.append(f"the run {record['status']}")
        last = [verdict for verdict in record["verdicts"] if verdict["when"] == "final"]
        if set(self.fail_on) - {_STATUS} and not last:
            found.append("no gradient was recorded (probe.every=0, or a range test): there is nothing to judge")
        told = {_STATUS} if record["status"] == _STATUS else set()
        found += [verdict["sentence"] for verdict in last if verdict["name"] in set(self.fail_on) - told]
        return found
