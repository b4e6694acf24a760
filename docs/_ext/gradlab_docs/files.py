"""Reference pages of what a run leaves: files, columns of the tables, keys of run.json.

The meanings stand in `meanings.yml`, the names come from gradlab; each page is refused where the two disagree.
"""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from gradlab.artifacts.environment import Environment
from gradlab.artifacts.record import RangeRecord, RunRecord
from gradlab.artifacts.tables import METRICS
from gradlab.diagnosis.verdict import RemedyRecord, Verdict, VerdictRecord
from gradlab.prediction.predict import CRITICAL
from gradlab.probe import columns
from gradlab.run import lr_range, row
from gradlab.sweep import effects, summary
from gradlab.sweep.remedies import table as remedies
from gradlab_docs.markdown import code, page, table

COLUMNS: Mapping[str, Sequence[str]] = {
    "gradients.csv": columns.COLUMNS,
    "metrics.csv": METRICS,
    "timesteps.csv": columns.TIMESTEPS,
    "auxiliary.csv": columns.SHARES,
    "neighbours.csv": columns.NEIGHBOURS,
    "lr_range.csv": lr_range.COLUMNS,
    "critical_line.csv": CRITICAL,
    "summary.csv": ("run", *row.RESULTS),
    "summary_by_config.csv": [
        name for name in summary.aggregate(("run", *row.RESULTS), ())[0] if not name.endswith(("_median", "_q1", "_q3"))
    ],
    "effects.csv": [item.name for item in fields(effects.Effect)],
    "remedies.csv": remedies.COLUMNS,
}
_MEANINGS = Path(__file__).with_name("meanings.yml")
_RECORDED = {
    "D": {*columns.KEYS, *columns.DEFAULT},
    "F": set(columns.FULL),
}
_CONVENTIONS = """\
z is the output of a layer's affine map, h the output of the whole layer (after normalization, activation and residual
sum; for the head, z), W the effective weight, L the loss, a mean over the batch.

- Norms are L2 over the whole batch tensor, taken before clipping and before the update unless said otherwise.
- Every tenth step is recorded, and the first and the last (`probe.every`). An empty cell was not measured.
- Standard deviations are over n, not n - 1.
- A zero is an exact zero: neither underflow nor overflow of squares touches a norm. `nan`, `inf` and `-inf` are spelled
  so. Numbers are Python's shortest text that reads back as the same number.
- In a recurrent layer z is the gates' pre-activation and h the hidden state, each pooled over time and the same for
  both matrices. In a residual block h is what the block returns. A layer that is called several times pools its calls.
- Gradients vanish where the ratio of the first over the last hidden layer is below 1/100 and explode above 100
  (`diagnosis.vanishing_ratio`, `diagnosis.exploding_ratio`).
"""


@cache
def meanings() -> Mapping[str, Any]:
    """Return the content of meanings.yml."""
    return yaml.safe_load(_MEANINGS.read_text(encoding="utf-8"))


def columns_page() -> str:
    """Return the page of all tables' columns."""
    known = meanings()["tables"]
    same("tables", known, COLUMNS)
    for name, recorded in _RECORDED.items():
        same(f"columns marked {name}", _marked(known, name), recorded)
    blocks = [_CONVENTIONS]
    for name, content in known.items():
        same(f"columns of {name}", content["columns"], COLUMNS[name])
        recorded = name == "gradients.csv"
        header = ["column", "meaning", "unit", *(["recorded"] if recorded else [])]
        rows = [
            [code(column), item["meaning"], item.get("unit", ""), *([item["recorded"]] if recorded else [])]
            for column, item in content["columns"].items()
        ]
        blocks += [f"## {name}", content["about"], _LEVELS if recorded else "", table(header, rows)]
    return page("Columns", *blocks)


_LEVELS = (
    "D: at every recorded step. F: at the first, the last and every tenth of them (`probe.full_every`); with "
    "`probe=full` at every step."
)


def files_page() -> str:
    """Return the page of the files that runs and sweeps leave."""
    known = meanings()["files"]
    where = (
        "A run writes into `outputs/runs/<date_time>/`, each run of a sweep into "
        "`outputs/sweeps/<date_time>/<overrides>-<hash>/`, below the folder in which the command was given. "
        "`hydra.run.dir=DIR` and `hydra.sweep.dir=DIR` choose other folders."
    )
    ways = (
        "`run.json` is written last and by rename: where it exists, the other files are complete. A diverged run is a "
        "result, and has all its files. Times are in run.json only, so that equal seeds give equal tables."
    )
    return page(
        "Files", where, "## Of a run", _listed(known["run"]), ways, "## Of a sweep", _listed(known["sweep"])
    )  # fmt: skip


def record_page() -> str:
    """Return the page of the keys of run.json, from its typed record."""
    known = meanings()["record"]
    same("keys of environment", known["environment"], Environment.__annotations__)
    verdicts = documented(Verdict) | documented(VerdictRecord)
    nested = {
        "lr_range": _keys(RangeRecord, documented(RangeRecord)),
        "environment": _keys(Environment, known["environment"]),
        "metrics": table(["key", "meaning"], ([code(key), text] for key, text in known["metrics"].items())),
        "verdicts": _keys(VerdictRecord, verdicts),
        "verdicts.remedies": _keys(RemedyRecord, documented(RemedyRecord)),
        "theory": table(["key", "meaning"], ([code(key), text] for key, text in known["theory"].items())),
    }
    blocks = [
        "run.json is strict JSON. Numbers that are not finite are the texts `nan`, `inf` and `-inf`. Only `status` is "
        "in every file: a run that failed has what was known by then.",
        "## Keys",
        _keys(RunRecord, documented(RunRecord)),
    ]
    for name, listed in nested.items():
        blocks += [f"## {name}", listed]
    return page("run.json", *blocks)


def documented(described: Any) -> dict[str, str]:
    """Return what a docstring says of each attribute or argument."""
    _, _, listed = (inspect.getdoc(described) or "").replace("Args:\n", "Attributes:\n").partition("Attributes:\n")
    block = re.split(r"\n(?=\S)", listed)[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", block, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def _keys(record: Any, known: Mapping[str, str]) -> str:
    """Return the table of a typed dictionary's keys; one without a meaning is refused."""
    if missing := [name for name in record.__annotations__ if name not in known]:
        raise ValueError(f"{record.__name__}: its docstring says nothing of {', '.join(missing)}")
    rows = (
        [code(name), _type(hint), re.sub(r"\bNone\b", "null", known[name].replace("``", "`"))]
        for name, hint in record.__annotations__.items()
    )
    return table(["key", "type", "meaning"], rows)


def _type(hint: Any) -> str:
    """Return an annotation as JSON's readers know it: ``number or null``."""
    text = re.sub(r"Required\[(.*)\]", r"\1", hint if isinstance(hint, str) else inspect.formatannotation(hint))
    words = {
        r"(typing\.|gradlab\.[\w.]+\.)": "", r"list\[.*\]": "list", r"dict\[.*\]": "object", r"\w+Record": "object",
        r"Environment": "object", r"\bstr\b": "text", r"\b(int|float)\b": "number", r"\bbool\b": "true or false",
        r"\bNone\b": "null", r" \| ": " or ",
    }  # fmt: skip
    for pattern, word in words.items():
        text = re.sub(pattern, word, text)
    return text


def undescribed(folder: Path, *, kind: str) -> list[str]:
    """Return the files of a run's or a sweep's folder that meanings.yml does not list.

    Args:
        folder: The folder.
        kind: ``run`` or ``sweep``; the latter's runs are left out.
    """
    known = {name.rstrip("/") for name in meanings()["files"][kind]}
    return sorted(
        path.name for path in folder.iterdir()
        if path.name not in known and not (path / ".hydra").exists()
    )  # fmt: skip


def undescribed_keys(record: Mapping[str, Any]) -> list[str]:
    """Return the keys of a run.json that the page does not list."""
    known = meanings()["record"]["metrics"]
    bounds = {f"{name}_{end}" for name in known if "decades" in name for end in ("low", "high")}
    return [
        *(key for key in record if key not in RunRecord.__annotations__),
        *(f"metrics.{key}" for key in record.get("metrics") or () if key not in {*known, *bounds}),
        *(f"verdicts.{key}" for item in record.get("verdicts") or () for key in item
          if key not in VerdictRecord.__annotations__),
    ]  # fmt: skip


def same(what: str, known: Iterable[str], wanted: Iterable[str]) -> None:
    """Check that a list of meanings has gradlab's names.

    Raises:
        ValueError: One is missing or superfluous.
    """
    if wrong := sorted(set(known) ^ set(wanted)):
        raise ValueError(f"docs/_ext/gradlab_docs/meanings.yml: {what}: missing or superfluous: {', '.join(wrong)}")


def _marked(known: Mapping[str, Any], recorded: str) -> list[str]:
    return [name for name, item in known["gradients.csv"]["columns"].items() if item.get("recorded") == recorded]


def _listed(known: Mapping[str, str]) -> str:
    return table(["file", "content"], ([code(name), text] for name, text in known.items()))
