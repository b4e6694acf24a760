"""Text of gradlab-diff."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradlab.api.diff_tables import IDENTICAL, NOTHING_SHARED, ROUNDING, VALUE

_MOST = 8  # largest number of values printed of a list
_ALWAYS = ("status", "train_loss", "eval_loss", "eval_accuracy", "root_cause")
_ALL = {IDENTICAL: "identical to the last bit", ROUNDING: "the same up to rounding", VALUE: "other values"}


def pair_in_words(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines on two runs.

    Args:
        result: The result of `gradlab.api.diff.compare_runs`.
    """
    yield from (f"one:   {result['one']}", f"other: {result['other']}", "")
    config = result["config"]
    yield from _entries("config, keys that determine the numbers:", config["decisive"])
    yield from _entries("config, other keys:", config["other"])
    yield from _entries("environment:", result["environment"])
    for table in result["tables"]:
        yield from _table(table, tolerance=result["tolerance"])
    yield ""
    outcome = [item for item in result["outcome"] if item["key"] in _ALWAYS or item["one"] != item["other"]]
    width = max(len(item["key"]) for item in outcome)
    yield "outcome:"
    yield from (
        f"  {item['key']:<{width}}  {_shown(item['one']):<24} {_shown(item['other'])}".rstrip() for item in outcome
    )
    names = [", ".join(_verdict(item) for item in result["verdicts"][side]) or "none" for side in ("one", "other")]
    if names[0] == names[1]:
        yield f"verdicts, the same: {names[0]}"
    else:
        yield from (f"verdicts of one:   {names[0]}", f"verdicts of other: {names[1]}")
    yield from ("", _conclusion(result))


def sweeps_in_words(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines on two sweeps.

    Args:
        result: The result of `gradlab.api.diff.compare_sweeps`.
    """
    yield from (f"one:   {result['one']}", f"other: {result['other']}", "")
    pairs: Sequence[Mapping[str, Any]] = result["pairs"]
    counts = [f"{count} {_ALL.get(kind, kind)}" for kind, count in result["counts"].items() if count]
    yield f"{len(pairs)} pairs of runs with the same overrides: {', '.join(counts)}"
    for pair in pairs:
        if pair["kind"] == IDENTICAL and pair["same"]:
            continue
        table = max(pair["tables"], key=lambda table: table["kind"] == pair["kind"])
        yield f"  {pair['one'].rpartition('/')[2]}: {next(_table(table, tolerance=pair['tolerance']))}"
    for side in ("one", "other"):
        if alone := result[f"only_{side}"]:
            yield f"in {side} only: {len(alone)} run{'s' if len(alone) > 1 else ''}"
            yield from (f"  {run}" for run in alone[:_MOST])
    yield from ("", _conclusion(result))


def _conclusion(result: Mapping[str, Any]) -> str:
    if result["same"]:
        return f"same numbers: {_ALL[result['kind']]}"
    if result["kind"] in (IDENTICAL, ROUNDING):
        return f"the shared figures are {_ALL[result['kind']]}, but one of the two has further figures"
    return "the numbers differ" if result["kind"] == VALUE else "they share no recorded figure"


def _entries(title: str, entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if entries:
        yield title
        yield from (f"  {item['key']}: {_shown(item['one'])} and {_shown(item['other'])}" for item in entries)
        yield ""


def _table(table: Mapping[str, Any], *, tolerance: float) -> Iterator[str]:
    name, kind = table["table"], table["kind"]
    if kind == NOTHING_SHARED:
        yield f"{name}: no row in common ({table['only_one']} and {table['only_other']} rows)"
    elif kind == IDENTICAL:
        yield f"{name}: identical to the last bit ({table['rows']} rows)"
    else:
        first, large = table["first"], table["first_value"]
        counts = f"{table['differing']} of {table['cells']} figures differ, by {table['largest']:.2g} at most"
        if kind == ROUNDING:
            yield f"{name}: rounding (within {tolerance:g}), first at {_place(first)}; {counts}"
        elif first == large:
            yield f"{name}: other values, first at {_place(large)}; {counts}"
        else:
            yield f"{name}: other values, first at {_place(large)}; rounding before, first at {_place(first)}; {counts}"
    if kind != NOTHING_SHARED and (table["only_one"] or table["only_other"]):
        counts = f"{table['only_one']} are in one only, {table['only_other']} in other only"
        yield f"  compared on the rows that both have; {counts}"
    for key, values in table["only"].items():
        for side in ("one", "other"):
            if alone := values[side]:
                more = f", … ({len(alone)})" if len(alone) > _MOST else ""
                yield f"  {key} in {side} only: {', '.join(map(str, alone[:_MOST]))}{more}"


def _place(cell: Mapping[str, Any]) -> str:
    where = [f"step {cell['step']}"] if "step" in cell else []
    if "depth_index" in cell:
        role = f", {cell['role']}" if cell.get("role", "main") != "main" else ""
        where.append(f"layer {cell['depth_index']} ({cell.get('layer', '')}{role})")
    where += [f"{name} {cell[name]}" for name in ("time", "lag", "head") if name in cell]
    return f"{', '.join(where)}: {cell['column']} {cell['one']} and {cell['other']} (relative {cell['relative']:.2g})"


def _verdict(verdict: Mapping[str, Any]) -> str:
    axis = "" if verdict["over"] in (None, "depth", "training") else f" over {verdict['over']}"
    return f"{verdict['name']}{axis} at step {verdict['step']}"


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
