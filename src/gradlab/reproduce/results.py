"""Page of the experiments' results, docs/results.md."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isinf
from typing import Any

from gradlab.borders import markdown_cell
from gradlab.errors import short
from gradlab.reproduce.claims import UNSEEN, Claim, Expectation


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One claim and its measured figure.

    Attributes:
        claim: The claim.
        measured: The measured figure.
        verdict: Whether they agree, as returned by `gradlab.reproduce.claims.judge`.
    """

    claim: Claim
    measured: float
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """Result of one experiment.

    Attributes:
        expectation: The expected results.
        command: The command that runs the experiment.
        outcomes: The claims with their measured figures; empty if the experiment was not run.
        runs: Number of runs.
        seconds: Total duration of the runs, from their run.json.
        skipped: Requirement that was not met, so that the experiment was not run; empty if it was.
        failed: Why the figures could not be measured; empty if they could.
    """

    expectation: Expectation
    command: str
    outcomes: Sequence[Outcome] = field(default_factory=list)
    runs: int = 0
    seconds: float = 0.0
    skipped: str = ""
    failed: str = ""


def page(results: Sequence[Result], *, title: str, machine: Mapping[str, str]) -> str:
    """Return the page in Markdown.

    Args:
        results: Results of the experiments.
        title: The first sentence of the page.
        machine: Facts about the machine, by name.
    """
    outcomes = [outcome for result in results for outcome in result.outcomes]
    verdicts = [outcome.verdict for outcome in outcomes]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
    lines = ["# Published effects, run again", "", title, ""]
    lines += [f"- {name}: {value}" for name, value in machine.items()]
    seconds = sum(result.seconds for result in results)
    lines += [f"- figures: {len(outcomes)}: {counts}; {seconds:.0f} s of runs", ""]
    for result in results:
        lines += _section(result)
    return "\n".join(lines)


def as_plain(result: Result) -> dict[str, Any]:
    """Return a result as plain objects for JSON."""
    source = result.expectation
    return {
        "name": source.name,
        "source": source.source,
        "effect": source.effect,
        "command": result.command,
        "runs": result.runs,
        "seconds": result.seconds,
        "skipped": result.skipped,
        "failed": result.failed,
        "claims": [
            {
                "says": outcome.claim.says,
                "source": outcome.claim.source,
                "expected": expected(outcome.claim),
                "at_least": outcome.claim.interval[0],
                "at_most": outcome.claim.interval[1],
                "measured": outcome.measured,
                "verdict": outcome.verdict,
                "unseen": outcome.claim.unseen,
            }
            for outcome in result.outcomes
        ],
    }


def brief(outcome: Outcome) -> str:
    """Return an outcome in one line."""
    figures = f"{number(outcome.measured)}, expected {expected(outcome.claim)}"
    return f"{outcome.verdict}: {outcome.claim.says}: {figures}"


def expected(claim: Claim) -> str:
    """Return a claim's figure in words: ``0.5``, ``at least 0.9`` or ``0.15 to 0.18``."""
    if claim.expected is not None:
        tolerance = f" ± {number(claim.tolerance)}" if claim.tolerance else ""
        return f"{number(claim.expected)}{tolerance}"
    low, high = claim.interval
    if isinf(high):
        return f"at least {number(low)}"
    return f"at most {number(high)}" if isinf(low) else f"{number(low)} to {number(high)}"


def number(value: float) -> str:
    """Return a number as text with 5 digits, or 2 if it is very small or large; inf is ``never``."""
    return "never" if value == float("inf") else short(value, digits=5 if 0.001 <= abs(value) < 1e5 else 2)


def _section(result: Result) -> list[str]:
    source = result.expectation
    lines = [f"## {source.name}", "", f"{source.effect[0].upper()}{source.effect[1:]} ({source.source}).", ""]
    if result.skipped:
        return [*lines, f"`{result.command}`: not run, it needs {result.skipped}.", ""]
    if result.failed:
        return [*lines, f"`{result.command}`: FAILED: {result.failed}.", ""]
    runs = f"{result.runs} run{'s' if result.runs > 1 else ''}"
    lines += [f"`{result.command}`: {runs}, {result.seconds:.0f} s", ""]
    lines += ["| figure | expected | measured | verdict | the expected figure's source |", "|---|---|---|---|---|"]
    return [*lines, *_rows(result.outcomes), ""]


def _rows(outcomes: Iterable[Outcome]) -> Iterable[str]:
    for outcome in outcomes:
        claim = outcome.claim
        verdict = f"{UNSEEN}: {claim.unseen}" if outcome.verdict == UNSEEN else outcome.verdict
        cells = (claim.says, expected(claim), number(outcome.measured), verdict, claim.source)
        yield f"| {' | '.join(markdown_cell(cell) for cell in cells)} |"
