"""Text of gradlab-explain: a page for one run, a paragraph each for several."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from gradlab.artifacts.record import UNFINISHED
from gradlab.diagnosis.flow import FLOW
from gradlab.diagnosis.verdict import root_cause

WIDTH = 110
_UNKNOWN = (
    "There is no config, as in runs of gradlab.watch, so the parts of the net, its learning rate and the loss by "
    "chance are unknown. The loss is compared with its first value, and no remedies are named."
)


def page(run: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a page: the run, its root cause, the consequences, and the other verdicts.

    Args:
        run: A run as returned by `gradlab.api.explain.read`.
    """
    yield from _opening(run)
    verdicts = run["verdicts"] or []
    causes = [item for item in verdicts if item["root_cause"]]
    known = [item["name"] for item in causes]
    rest = [item for item in verdicts if not item["root_cause"] and item["name"] not in known]
    consequences = [item for item in rest if item["name"] not in ("healthy", "shallow")] if causes else []
    for item in causes:
        yield from ("", f"ROOT CAUSE: {_words(item['name'])}", *_evidence(item))
        yield from _remedies(item, "Remedies, the most promising first:")
    if consequences:
        yield from ("", "CONSEQUENCES, expected to disappear with the root cause:")
        for item in _once(consequences):
            yield from _indented(f"{item['sentence']} [{item['name']}]", first="  - ", rest="    ")
    flow = [item for item in verdicts if item["name"] in FLOW and item not in causes and item not in consequences]
    if flow:
        yield from ("", "GRADIENT FLOW:")
        yield from (f"  step {item['step']}: {item['sentence']}" for item in flow)
    if run["damage"]:
        yield from ("", *_indented(f"The files are not whole: {run['damage']}."))
    elif not causes and run["status"] == "completed" and verdicts:
        yield from ("", "No fault was found.")
    if not verdicts:
        yield from ("", "No gradient was recorded, so there is no diagnosis.")
    if not run["configured"]:
        yield from ("", *_indented(_UNKNOWN))


def tally(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of a paragraph for each run, and the number of runs with each root cause.

    Args:
        runs: Runs as returned by `gradlab.api.explain.read`.
    """
    for run in runs:
        yield run["run"]
        cause = root_cause(run["verdicts"])
        if cause is None:
            yield from (*_indented(_end(run), first="  "), "")
            continue
        yield from _indented(f"{_words(cause['name'])}: {cause['sentence']}", first="  ")
        if cause["remedies"]:
            yield f"  try: {_pasteable(cause['remedies'][0]['overrides'])}"
        yield ""
    counts = Counter(run["root_cause"] or run["status"] for run in runs)
    yield f"{len(runs)} runs: " + ", ".join(f"{count} {_words(name)}" for name, count in counts.most_common())


def _opening(run: Mapping[str, Any]) -> Iterator[str]:
    yield run["run"]
    if run["configured"]:
        yield from _indented(f"gradlab {_pasteable(run['overrides'])}".rstrip())
    elif run["model"]:
        yield f"{run['model']}, in a training loop of its own"
    yield from _indented(_end(run))
    for warning in run["warnings"] or ():
        yield from _indented(f"warning: {warning}")


def _end(run: Mapping[str, Any]) -> str:
    """Return the status and the final metrics of a run in one line."""
    metrics, chance = run["metrics"] or {}, run["chance"] or {}
    parts = [_status(run)]
    if run["error"]:
        parts.append(run["error"])
    for name, guess in (("train_loss", "loss"), ("eval_loss", "loss"), ("eval_accuracy", "accuracy")):
        if metrics.get(name) is not None:
            by_chance = f" (by chance {chance[guess]:.4g})" if chance.get(guess) is not None else ""
            parts.append(f"{name.replace('_', ' ')} {float(metrics[name]):.4g}{by_chance}")
    return ", ".join(parts)


def _status(run: Mapping[str, Any]) -> str:
    if run["status"] == UNFINISHED:  # without run.json
        steps = run["steps"]
        return f"cut off at step {steps - 1}, or still running" if steps else "cut off before a step was recorded"
    return run["status"] + (f" after {run['steps']} steps" if run["steps"] else "")


def _evidence(item: Mapping[str, Any]) -> Iterator[str]:
    where = f"step {item['step']}: " if item["over"] != "training" else ""
    yield from _indented(f"{where}{item['sentence']}", first="  ")
    if item["value"] is not None and item["threshold"] is not None:
        yield f"  {item['column']}: {float(item['value']):.3g}, threshold {float(item['threshold']):.3g}"
    if item["source"]:
        yield from _indented(f"source: {item['source']}", first="  ")


def _remedies(item: Mapping[str, Any], title: str) -> Iterator[str]:
    if not item["remedies"]:
        return
    yield f"  {title}"
    for remedy in item["remedies"]:
        yield f"    {_pasteable(remedy['overrides'])}"
        yield from _indented(f"{remedy['reason']} ({remedy['source']})", first="      ")


def _once(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the first verdict of each name and axis."""
    return list({(item["name"], item["over"]): item for item in reversed(items)}.values())[::-1]


def _pasteable(overrides: Sequence[str]) -> str:
    return " ".join(f"'{text}'" if set(text) & set(" {}[]()*~$") else text for text in overrides)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _indented(text: str, *, first: str = "", rest: str | None = None) -> list[str]:
    return wrap(text, WIDTH, initial_indent=first, subsequent_indent=first if rest is None else rest) or [first]
