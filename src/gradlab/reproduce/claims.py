"""Published figures of an experiment: read from YAML, measured on its runs, and compared."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite, isnan
from pathlib import Path
from statistics import mean, median
from typing import Any

import yaml

from gradlab.errors import GradlabError
from gradlab.reproduce import figures
from gradlab.run.row import read_overrides, read_value, text

SUFFIX = ".expected.yml"  # not .yaml, because Hydra and the help list every .yaml as an experiment
WITHIN, OUTSIDE, UNSEEN = "within", "OUTSIDE", "not seen at this scale"
OVER: dict[str, Callable[[Sequence[float]], float]] = {"median": median, "mean": mean, "min": min, "max": max}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One figure that was published or follows from theory, and how to measure it.

    Attributes:
        says: The claim in words.
        figure: Name of a function of `gradlab.reproduce.figures`.
        arguments: Arguments of the function besides the run.
        runs: Values of config keys that select the runs; empty selects all.
        against: Values of config keys that select the reference runs, by whose figure this one is divided; None for no
            division.
        over: Aggregation over the selected runs: median, mean, min or max.
        expected: The expected figure; None if only bounds are known.
        tolerance: Largest difference between the measured and the expected figure.
        at_least: Lower bound, used if ``expected`` is None.
        at_most: Upper bound, used if ``expected`` is None.
        source: Publication or derivation of the expected figure.
        quick: Whether it is also measured under ``--quick``.
        unseen: Why the effect does not show at this scale; empty if it does.
    """

    says: str
    figure: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    runs: Mapping[str, Any] = field(default_factory=dict)
    against: Mapping[str, Any] | None = None
    over: str = "median"
    expected: float | None = None
    tolerance: float = 0.0
    at_least: float | None = None
    at_most: float | None = None
    source: str
    quick: bool = True
    unseen: str = ""

    @property
    def interval(self) -> tuple[float, float]:
        """The lowest and the highest figure that agree with the claim."""
        if self.expected is not None:
            return self.expected - self.tolerance, self.expected + self.tolerance
        return -inf if self.at_least is None else self.at_least, inf if self.at_most is None else self.at_most


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Expected results of an experiment.

    Attributes:
        name: Name of the experiment.
        source: The publication.
        effect: The published effect, in a line.
        quick: Overrides that make the experiment small enough for ``--quick``; None leaves it out there.
        needs: Requirement that most machines do not meet, such as a data set; empty for none.
        memory: Required memory in GiB; 0 if it is small.
        claims: The expected figures.
    """

    name: str
    source: str
    effect: str
    quick: Sequence[str] | None = None
    needs: str = ""
    memory: float = 0.0
    claims: Sequence[Claim]


def read(path: Path) -> Expectation:
    """Read an experiment's expected figures.

    Raises:
        OSError: The file cannot be read.
        GradlabError: A key is unknown or missing, a figure cannot be measured, or a claim has no bounds.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    name = path.name.removesuffix(SUFFIX)
    try:
        claims = [Claim(**claim) for claim in content.pop("claims")]
        expectation = Expectation(name=name, claims=claims, **content)
        for claim in claims:
            inspect.signature(getattr(figures, claim.figure)).bind(Path(), **claim.arguments)
            OVER[claim.over]
    except (TypeError, AttributeError, KeyError) as error:
        raise GradlabError(f"{path}: {error}") from error
    if unbounded := [claim.says for claim in claims if not any(map(isfinite, claim.interval))]:
        raise GradlabError(f"{path}: {unbounded[0]!r} needs expected and tolerance, at_least or at_most")
    return expectation


def read_all(folder: Path) -> dict[str, Expectation]:
    """Return experiment name to expected figures, for every ``*.expected.yml`` in a folder.

    Raises:
        GradlabError: A file is not valid.
    """
    expectations = [read(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    return {expectation.name: expectation for expectation in expectations}


def measure(claim: Claim, runs: Sequence[Path]) -> float:
    """Return a claim's figure, measured on the files of an experiment's runs.

    Raises:
        GradlabError: The claim selects no run, or a run lacks the figure.
    """
    figure = _pooled(claim, runs, claim.runs)
    return figure if claim.against is None else figure / _pooled(claim, runs, claim.against)


def judge(claim: Claim, measured: float) -> str:
    """Return ``WITHIN`` if a measured figure agrees with a claim, else ``UNSEEN`` or ``OUTSIDE``."""
    low, high = claim.interval
    if low <= measured <= high:
        return WITHIN
    return UNSEEN if claim.unseen else OUTSIDE


def _pooled(claim: Claim, runs: Sequence[Path], settings: Mapping[str, Any]) -> float:
    chosen = [run for run in runs if _matches(run, settings)]
    if not chosen:
        raise GradlabError(f"{claim.says!r}: no run has {dict(settings)}")
    try:
        values = [getattr(figures, claim.figure)(run, **claim.arguments) for run in chosen]
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise GradlabError(f"{claim.says!r}: {chosen[0].name} has no such figure: {error}") from error
    finite_or_inf = [inf if isnan(value) else value for value in values]  # the loss of a diverged run is nan
    return float(OVER[claim.over](finite_or_inf))


def _matches(run: Path, settings: Mapping[str, Any]) -> bool:
    overrides = {key: text(value) for key, value in read_overrides(run)}
    return all(overrides.get(key, read_value(run, key)) == text(value) for key, value in settings.items())
