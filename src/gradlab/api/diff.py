"""Comparison of two runs, or of two sweeps: configs, environments and recorded figures.

Two figures are *identical* to the last bit, equal up to *rounding* (relative difference within a tolerance), or differ
in *value*. Runs with different layers or steps are compared on those that both have.
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
    """Result of `diff`; its `str` is the output of ``gradlab-diff``.

    Attributes:
        same: Whether both recorded the same rows, and all figures are identical or equal up to rounding.
        kind: Kind of the largest difference between figures: ``identical, rounding, value`` or ``nothing shared``.
        text: The differences in words.
        result: The differences as plain objects, as returned by `compare_runs` or `compare_sweeps`.
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
        one: A run or a sweep, or its folder.
        other: The run or sweep to compare it with, or its folder.
        tolerance: Largest relative difference that counts as rounding; with 0, only identical figures are the same.

    Raises:
        GradlabError: A folder does not exist, a file is broken, or a run is compared with a sweep.
    """
    from gradlab.api.calls import load
    from gradlab.api.diff_text import pair_in_words, sweeps_in_words
    from gradlab.api.one_run import Run

    if not 0 <= tolerance < 1:
        raise GradlabError(f"tolerance {tolerance}: a relative difference from 0 to 1, such as 1e-6")
    left, right = (load(item) for item in (one, other))
    if isinstance(left, Run) and isinstance(right, Run):
        result = compare_runs(left, right, tolerance=tolerance)
        lines = pair_in_words(result)
    elif isinstance(left, Run) or isinstance(right, Run):
        single = left if isinstance(left, Run) else right
        raise GradlabError(f"{single.folder} is a run, and the other a sweep; give two runs or two sweeps")
    else:
        result = compare_sweeps(left, right, tolerance=tolerance)
        lines = sweeps_in_words(result)
    return Difference(same=result["same"], kind=result["kind"], text="\n".join(lines), result=result)


def compare_runs(one: "Run", other: "Run", *, tolerance: float) -> dict[str, Any]:
    """Return the differences between two runs.

    Returns:
        A dictionary with the keys

        - ``one``, ``other``: the two folders;
        - ``tolerance``, ``same``, ``kind``: as in `Difference`;
        - ``config``: the ``decisive`` and the ``other`` keys that differ, each a list of ``{"key", "one", "other"}``;
        - ``environment``: the keys that differ, in the same form;
        - ``outcome``: status, steps, metrics and root cause in the same form, whether equal or not;
        - ``verdicts``: names and steps of the verdicts of each run;
        - ``tables``: the result of `gradlab.api.diff_tables.compare_tables`.
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
        A dictionary with ``one, other, tolerance, same, kind`` as for runs, ``counts`` (number of pairs of each kind),
        ``pairs`` (the result of `compare_runs` for each) and ``only_one, only_other`` (the runs without a match).

    Raises:
        GradlabError: No run of one sweep matches a run of the other.
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
