"""Expected figures: read from the YAML beside a recipe, measured on its runs, and judged."""

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

SUFFIX = ".expected.yml"  # not .yaml: Hydra and the help take those for experiments
WITHIN, OUTSIDE, UNSEEN = "within", "OUTSIDE", "not seen at this scale"
OVER: dict[str, Callable[[Sequence[float]], float]] = {"median": median, "mean": mean, "min": min, "max": max}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One figure that was published, or follows from theory, and how to measure it.

    Attributes:
        says: What it says, in words.
        figure: Name of a function of `gradlab.reproduce.figures`.
        arguments: Its arguments beside the run.
        runs: The values of config keys by which its runs are chosen; all runs where there are none.
        against: Where given, the figure is divided by that of the runs so chosen.
        over: How several runs (seeds) make one figure: median, mean, min or max.
        expected: The figure.
        tolerance: How far the measured one may lie from it.
        at_least: Its lower bound, where no figure but a bound is published.
        at_most: Its upper bound.
        source: Where it comes from.
        quick: Whether it is measured under ``--quick`` too.
        unseen: Why the effect is not to be expected at this scale; empty where it is.
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
        """The lowest and the highest figure that agree."""
        if self.expected is not None:
            return self.expected - self.tolerance, self.expected + self.tolerance
        return -inf if self.at_least is None else self.at_least, inf if self.at_most is None else self.at_most


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What an experiment must show.

    Attributes:
        name: The experiment.
        source: The publication.
        effect: What it found, in a line.
        quick: Overrides that make it small enough for ``--quick``; None where it is left out there.
        needs: What must be there to run it that most machines lack, such as a data set; empty for nothing.
        memory: GiB of memory that it takes, where that is much.
        claims: The figures.
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
        GradlabError: A key is unknown or missing, a figure cannot be measured, or nothing is expected of it.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    name = path.name.removesuffix(SUFFIX)
    try:
        claims = [Claim(**claim) for claim in content.pop("claims")]
        found = Expectation(name=name, claims=claims, **content)
        for claim in claims:
            inspect.signature(getattr(figures, claim.figure)).bind(Path(), **claim.arguments)
            OVER[claim.over]
    except (TypeError, AttributeError, KeyError) as error:
        raise GradlabError(f"{path}: {error}") from error
    if vague := [claim.says for claim in claims if not any(map(isfinite, claim.interval))]:
        raise GradlabError(f"{path}: {vague[0]!r} needs expected and tolerance, at_least or at_most")
    return found


def read_all(folder: Path) -> dict[str, Expectation]:
    """Read the expected figures of every experiment of a folder that has some, by its name."""
    found = [read(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    return {expectation.name: expectation for expectation in found}


def measure(claim: Claim, runs: Sequence[Path]) -> float:
    """Return a claim's figure, from the files of an experiment's runs.

    Raises:
        GradlabError: No run is meant by it, or one lacks the figure.
    """
    here = _pooled(claim, runs, claim.runs)
    return here if claim.against is None else here / _pooled(claim, runs, claim.against)


def judge(claim: Claim, measured: float) -> str:
    """Return whether a measured figure agrees with a claim: ``WITHIN``, ``OUTSIDE`` or ``UNSEEN``."""
    low, high = claim.interval
    if low <= measured <= high:
        return WITHIN
    return UNSEEN if claim.unseen else OUTSIDE


def _pooled(claim: Claim, runs: Sequence[Path], wanted: Mapping[str, Any]) -> float:
    chosen = [run for run in runs if _fits(run, wanted)]
    if not chosen:
        raise GradlabError(f"{claim.says!r}: no run has {dict(wanted)}")
    try:
        values = [getattr(figures, claim.figure)(run, **claim.arguments) for run in chosen]
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise GradlabError(f"{claim.says!r}: {chosen[0].name} has no such figure: {error}") from error
    return float(
        OVER[claim.over]([inf if isnan(value) else value for value in values])
    )  # nan: the loss of a net that broke


def _fits(run: Path, wanted: Mapping[str, Any]) -> bool:
    own = {key: text(value) for key, value in read_overrides(run)}
    return all(own.get(key, read_value(run, key)) == text(value) for key, value in wanted.items())
