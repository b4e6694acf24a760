"""Explanation of runs from their files: root cause, consequences and remedies.

torch, Hydra and matplotlib are never imported, and other slow imports are inside the functions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradlab.api import html
from gradlab.errors import GradlabError, one_line

if TYPE_CHECKING:
    from gradlab.api.many_runs import Sweep
    from gradlab.api.one_run import Run


@dataclass(frozen=True)
class Explanation:
    """Result of `explain`; its `str` is the output of ``gradlab-explain``.

    Attributes:
        text: A page for one run; for several a paragraph for each, and the number of runs with each root cause.
        runs: The same as plain objects, one for each run, as returned by `read_one`.
    """

    text: str
    runs: Sequence[Mapping[str, Any]]

    @property
    def root_causes(self) -> list[str | None]:
        """Name of the root cause of each run; None for a run without a fault."""
        return [run["root_cause"] for run in self.runs]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<gradlab explanation of {len(self.runs)} run{'s' if len(self.runs) > 1 else ''}>"

    def _repr_html_(self) -> str:
        return html.preformatted(self.text)


def explain(run: "Run | Sweep | str | Path") -> Explanation:
    """Explain the faults of a run and name remedies, as ``gradlab-explain`` does.

    Args:
        run: A run or a sweep, or its folder.

    Raises:
        GradlabError: The folder does not exist or holds no run, or no run in it can be read.
    """
    from gradlab.artifacts.folders import as_folder

    runs, broken = read([as_folder(run)])
    if not runs:
        raise GradlabError("; ".join(f"{folder}: {reason}" for folder, reason in broken.items()))
    lines = [*in_words(runs), *(f"{folder}: {reason}" for folder, reason in broken.items())]
    return Explanation("\n".join(lines), runs)


def in_words(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines that explain some runs.

    Args:
        runs: The runs as returned by `read`.
    """
    from gradlab.api.explain_text import page, tally

    if not runs:
        return []
    return list(tally(runs) if len(runs) > 1 else page(runs[0]))


def read(folders: Sequence[Path]) -> tuple[list[dict[str, Any]], dict[Path, str]]:
    """Read the results of runs.

    Args:
        folders: Folders of runs, of sweeps, or of several of them.

    Returns:
        The result of `read_one` for each run, and run to reason for each run that cannot be read, or is explained from
        its run.json although one of its tables is damaged.

    Raises:
        GradlabError: A folder does not exist or holds no run.
    """
    from gradlab.artifacts.damage import describe_damage
    from gradlab.artifacts.folders import require_runs

    runs: list[Path] = []
    for folder in folders:
        runs += require_runs(folder)
    results, broken = [], {}
    for run in dict.fromkeys(runs):
        try:
            results.append(read_one(run))
            if damage := results[-1]["damage"]:
                broken[run] = damage
        except Exception as error:  # whatever a damaged file causes, the other runs are explained
            broken[run] = describe_damage(error)
    return results, broken


def read_one(folder: Path) -> dict[str, Any]:
    """Read the results of one run.

    Verdicts in its run.json are used unchanged, because they follow the run's own thresholds. A run without them, which
    was killed or is of an older version, is diagnosed with the default thresholds. The steps and losses of a run
    without run.json are those of its tables.

    Returns:
        A dictionary with ``run`` (its folder), ``overrides``, ``configured`` (whether it has a config), ``root_cause``
        (a name, or None), ``damage`` (what is wrong with its tables, or None), and from its run.json ``status, seed,
        steps, seconds, error, metrics, chance, verdicts, warnings, model``.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is broken.
    """
    from gradlab.artifacts.damage import damaged_tables, read_progress
    from gradlab.artifacts.record import FILE, UNFINISHED, RunRecord, load_run
    from gradlab.diagnosis.verdict import root_cause
    from gradlab.run.verdicts import judge

    record: RunRecord = load_run(folder) if (folder / FILE).exists() else {"status": UNFINISHED}
    if record["status"] == UNFINISHED:
        record = {**read_progress(folder), **record}
    config, choices, overrides = read_config(folder)
    if not all("root_cause" in verdict for verdict in record.get("verdicts") or [{}]):
        from gradlab.diagnosis.thresholds import Thresholds

        record["verdicts"] = judge(folder, record, Thresholds(), config=config, choices=choices)
    cause = root_cause(record.get("verdicts"))
    known = ("status", "seed", "steps", "seconds", "error", "metrics", "chance", "verdicts", "warnings", "model")
    return {
        "run": str(folder),
        "overrides": overrides,
        "configured": bool(config),
        "root_cause": cause["name"] if cause else None,
        "damage": damaged_tables(folder, record),
        **{name: record.get(name) for name in known},
    }


def read_config(folder: Path) -> tuple[Mapping[str, Any], Mapping[str, Any], list[str]]:
    """Return a run's config, the option chosen of each group, and the overrides; all empty for a run without Hydra.

    Raises:
        ValueError: A file in ``.hydra`` is broken.
    """
    from gradlab.artifacts.moved import with_current_names
    from gradlab.config.saved import load_saved, load_saved_config, to_plain_config

    files = {name: folder / ".hydra" / f"{name}.yaml" for name in ("config", "hydra", "overrides")}
    if not all(path.exists() for path in files.values()):
        return {}, {}, []
    try:
        config = to_plain_config(load_saved_config(files["config"]))
        runtime = load_saved_config(files["hydra"]).hydra.runtime
        choices = {str(group): choice for group, choice in runtime.choices.items()}
        overrides = [str(text) for text in load_saved(files["overrides"])]
        if wrong := [group for group in choices if not isinstance(config.get(group, {}), Mapping)]:
            raise ValueError(f"config.yaml is broken: {wrong[0]} is not a mapping")
    except (OSError, ValueError) as error:
        raise ValueError(f".hydra is broken: {one_line(error)}") from error
    except Exception as error:  # of OmegaConf, for a node of another type
        raise ValueError(f".hydra is broken: {type(error).__name__}: {one_line(error)}") from error
    return with_current_names(config), choices, overrides
