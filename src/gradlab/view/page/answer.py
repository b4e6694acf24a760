"""What a page says first of a run: whether the gradient arrives, what is wrong, and what may help."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gradlab.artifacts.record import RunRecord
from gradlab.diagnosis.verdict import root_cause
from gradlab.view.range_test import headline
from gradlab.view.verdict import in_words

_FLOW = {
    "vanishing": "No: the gradient vanishes on its way back",
    "exploding": "Too much of it: the gradient explodes on its way back",
    "zero": "No: there is no gradient",
    "not_finite": "No: the gradient is not finite",
    "healthy": "Yes: the gradient arrives",
    "shallow": "There is one layer only: nothing to compare",
}
_STATUS = {
    "diverged": "No: training diverged",
    "failed": "The run failed",
    "interrupted": "The run was interrupted",
}
_WORST_FIRST = ("not_finite", "zero", "vanishing", "exploding", "healthy", "shallow")


class Remedy(NamedTuple):
    """One thing that may help.

    Attributes:
        overrides: What to add to the command line.
        reason: Why it may help.
        source: Who published it.
    """

    overrides: str
    reason: str
    source: str


class Answer(NamedTuple):
    """The first lines of a run's page.

    Attributes:
        kind: The verdict or status that gives them their colour.
        question: What the page is looked at for.
        headline: Its answer: whether the gradient arrives.
        sentences: The evidence: first the verdict on the gradient at the end, then at the start where that is another.
        cause: The root cause in words; empty where nothing is wrong.
        remedies: What may help, the most promising first.
    """

    kind: str
    question: str
    headline: str
    sentences: list[str]
    cause: str
    remedies: list[Remedy]


def answer(record: RunRecord) -> Answer:
    """Return what to say first of a run.

    Args:
        record: The content of its run.json; empty where there is none.
    """
    flows = [item for item in record.get("verdicts") or () if item.get("over") in ("depth", "time")]
    flows = [item for item in flows if item["name"] in _FLOW]
    finals = [item for item in flows if item["when"] == "final"] or flows
    worst = min(finals, key=lambda item: _WORST_FIRST.index(item["name"]), default=None)
    status = record.get("status", "")
    cause = root_cause(record.get("verdicts"))
    sentences = [f"Step {worst['step']}: {worst['sentence']}"] if worst else []
    if worst:
        before = [item for item in flows if (item["when"], item["over"]) == ("initial", worst["over"])]
        sentences += [f"Step {item['step']}: {item['sentence']}" for item in before if item["name"] != worst["name"]]
    if status in _STATUS:
        kind, line = status, _STATUS[status]
    elif worst:
        kind, line = worst["name"], _FLOW[worst["name"]]
    elif found := record.get("lr_range"):
        kind, line = "healthy", headline(found)
    else:
        kind, line = "", "No gradient was recorded"
    if error := record.get("error"):
        sentences.insert(0, error)
    question = "Which learning rate?" if line.startswith("Range test") else "Does the gradient arrive?"
    return Answer(kind, question, line, sentences, _cause(cause, worst), _remedies(cause))


def _cause(cause: Mapping[str, Any] | None, worst: Mapping[str, Any] | None) -> str:
    """Return the root cause with its evidence, unless that is the sentence on the gradient."""
    if cause is None:
        return ""
    name = in_words(cause["name"])
    return name if worst and cause["sentence"] == worst["sentence"] else f"{name}: {cause['sentence']}"


def _remedies(cause: Mapping[str, Any] | None) -> list[Remedy]:
    found = (cause or {}).get("remedies") or ()
    return [
        Remedy(" ".join(item["overrides"]), str(item.get("reason") or ""), str(item.get("source") or ""))
        for item in found
    ]
