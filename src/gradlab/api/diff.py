"""Where two runs, or two sweeps, differ: in their configs, their environments, and their recorded figures.

Figures are compared by value: *identical* to the last bit, equal up to *rounding* (a relative difference within a
tolerance), or of another *value*. Runs with other layers or steps are compared on those that both have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradlab.api import html
from gradlab.errors import GradlabError

if TYPE_CHECKING:
    from gradlab.api.many_runs import Sweep
    from gradlab.api.one_run import Run

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Difference:
    """What `diff` returns; `str` of it is the text that ``gradlab-diff`` prints.

    Attributes:
        same: Whether both recorded the same rows, and all figures are identical or equal up to rounding.
        kind: The largest difference between figures: ``identical, rounding, value`` or ``nothing shared``.
        text: The differences in words.
        result: The same as plain objects: what `compare_runs` returns, or `compare_sweeps`.
    """

    same: bool
    kind: str
    text: str
    result: Mapping[str, Any]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<gradlab difference: {self.kind}>"

    def _repr_html_(self) -> str:
        return html.preformatted(self.text)


def diff(
    one: "Run | Sweep | str | Path", other: "Run | Sweep | str | Path", *, tolerance: float = TOLERANCE
) -> Difference:
    """Compare two runs, or two sweeps, as ``gradlab-diff`` does.

    Args:
        one: A run or a sweep, or the folder of one.
        other: Another.
        tolerance: Largest relative difference that counts as rounding; with 0, only identical figures are the same.

    Raises:
        GradlabError: A folder is not there, a file is broken, or a run is compared with a sweep.
    """
    from gradlab.api.calls import load
    from gradlab.api.diff_text import pair_in_words, sweeps_in_words
    from gradlab.api.one_run import Run

    if not 0 <= tolerance < 1:
        raise GradlabError(f"tolerance {tolerance}: a relative difference from 0 to 1, such as 1e-6")
    left, right = (load(each) for each in (one, other))
    if isinstance(left, Run) and isinstance(right, Run):
        found = compare_runs(left, right, tolerance=tolerance)
        lines = pair_in_words(found)
    elif isinstance(left, Run) or isinstance(right, Run):
        single = left if isinstance(left, Run) else right
        raise GradlabError(f"{single.folder} is a run, and the other a sweep; give two runs or two sweeps")
    else:
        found = compare_sweeps(left, right, tolerance=tolerance)
        lines = sweeps_in_words(found)
    return Difference(same=found["same"], kind=found["kind"], text="\n".join(lines), result=found)


def compare_runs(one: "Run", other: "Run", *, tolerance: float) -> dict[str, Any]:
    """Return the differences between two runs.

    Returns:
        ``one, other`` (their folders), ``tolerance, same, kind``; ``config``, its ``decisive`` and ``other`` keys that
        differ, and ``environment``, each a list of ``{"key", "one", "other"}``; ``outcome``, status, steps, metrics
        and root cause side by side in the same form, equal or not; ``verdicts``, the names and steps in each; and
        ``tables``, as `gradlab.api.diff_tables.compare_tables` returns them.
    """
    from gradlab.api.diff_tables import IDENTICAL, NOTHING_SHARED, ROUNDING, compare_tables, worst

    tables = compare_tables(one.folder, other.folder, tolerance=tolerance)
    kind = worst([table["kind"] for table in tables]) if tables else NOTHING_SHARED
    alone = any(table["only_one"] or table["only_other"] for table in tables)
    return {
        "one": str(one.folder),
        "other": str(other.folder),
        "tolerance": tolerance,
        "same": kind in (IDENTICAL, ROUNDING) and not alone,
        "kind": kind,
        "config": _compare_configs(one.config, other.config),
        "environment": _differing(one.record.get("environment") or {}, other.record.get("environment") or {}),
        "outcome": _compare_outcomes(one, other),
        "verdicts": {"one": _verdicts(one), "other": _verdicts(other)},
        "tables": tables,
    }


def compare_sweeps(one: "Sweep", other: "Sweep", *, tolerance: float) -> dict[str, Any]:
    """Return the differences between two sweeps, whose runs are matched by their overrides.

    Returns:
        ``one, other, tolerance, same, kind`` as for runs; ``counts``, the number of pairs of each kind; ``pairs``, what
        `compare_runs` returns of each; ``only_one, only_other``, the runs without a match.
    """
    from gradlab.api.diff_tables import IDENTICAL, KINDS, worst

    runs = [{_identity(run): run for run in sweep.runs} for sweep in (one, other)]
    shared = [key for key in runs[0] if key in runs[1]]
    if not shared:
        raise GradlabError(f"no run of {one.folder} has the overrides of a run of {other.folder}")
    pairs = [compare_runs(runs[0][key], runs[1][key], tolerance=tolerance) for key in shared]
    only = [[str(run.folder) for key, run in runs[i].items() if key not in shared] for i in (0, 1)]
    kinds = [pair["kind"] for pair in pairs]
    return {
        "one": str(one.folder),
        "other": str(other.folder),
        "tolerance": tolerance,
        "same": all(pair["same"] for pair in pairs) and not any(only),
        "kind": worst(kinds) if kinds else IDENTICAL,
        "counts": {kind: kinds.count(kind) for kind in KINDS},
        "pairs": pairs,
        "only_one": only[0],
        "only_other": only[1],
    }


def _identity(run: "Run") -> tuple[str, ...]:
    return tuple(sorted(run.overrides)) if (run.folder / ".hydra").exists() else (run.folder.name,)


def _compare_configs(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    from gradlab.artifacts.fingerprint import decisive_part

    decisive = _differing(decisive_part(one), decisive_part(other))
    known = {item["key"] for item in decisive}
    return {"decisive": decisive, "other": [item for item in _differing(one, other) if item["key"] not in known]}


def _compare_outcomes(one: "Run", other: "Run") -> list[dict[str, Any]]:
    entries = [("status", one.status, other.status)]
    entries += [(name, one.record.get(name), other.record.get(name)) for name in ("steps", "seconds")]
    metrics = [run.record.get("metrics") or {} for run in (one, other)]
    entries += [
        (name, metrics[0].get(name), metrics[1].get(name)) for name in dict.fromkeys([*metrics[0], *metrics[1]])
    ]
    entries.append(("root_cause", one.root_cause, other.root_cause))
    return [{"key": key, "one": left, "other": right} for key, left, right in entries]


def _verdicts(run: "Run") -> list[dict[str, Any]]:
    return [{name: verdict.get(name) for name in ("when", "step", "name", "over")} for verdict in run.verdicts]


def _differing(one: Any, other: Any) -> list[dict[str, Any]]:
    from gradlab.artifacts.fingerprint import differing_keys

    return [{"key": key, "one": left, "other": right} for key, left, right in differing_keys(one, other)]
