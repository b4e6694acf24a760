"""What was wrong with finished runs, why, and what may help, from their files alone.

Nothing heavy is imported at the top; torch, Hydra and matplotlib are never imported.
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
    """What `explain` returns; `str` of it is the text that ``gradlab-explain`` prints.

    Attributes:
        text: A page for one run; for several a paragraph for each, and how often each root cause was found.
        runs: The same as plain objects, one for each run, as `read_one` returns them.
    """

    text: str
    runs: Sequence[Mapping[str, Any]]

    @property
    def root_causes(self) -> list[str | None]:
        """The root cause of each run by its name; None where nothing is wrong."""
        return [run["root_cause"] for run in self.runs]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<gradlab explanation of {len(self.runs)} run{'s' if len(self.runs) > 1 else ''}>"

    def _repr_html_(self) -> str:
        return html.preformatted(self.text)


def explain(run: "Run | Sweep | str | Path") -> Explanation:
    """Say what was wrong with a run, why, and what may help, as ``gradlab-explain`` does.

    Args:
        run: A run or a sweep, or the folder of one.

    Raises:
        GradlabError: The folder is not there, or the files of a run are broken.
    """
    found, broken = read([Path(run)])
    if not found:
        raise GradlabError("; ".join(f"{folder}: {reason}" for folder, reason in broken.items()))
    lines = [*in_words(found), *(f"{folder}: {reason}" for folder, reason in broken.items())]
    return Explanation("\n".join(lines), found)


def in_words(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines that explain some runs.

    Args:
        found: What `read` returns of them.
    """
    from gradlab.api.explain_text import page, tally

    if not found:
        return []
    return list(tally(found) if len(found) > 1 else page(found[0]))


def read(folders: Sequence[Path]) -> tuple[list[dict[str, Any]], dict[Path, str]]:
    """Return what is known of each run.

    Args:
        folders: Runs, sweeps, or folders of them.

    Returns:
        For each run what `read_one` returns; and the runs that cannot be read, and why.

    Raises:
        GradlabError: A folder is not there or holds no run.
    """
    from gradlab.artifacts.folders import require_runs

    runs: list[Path] = []
    for folder in folders:
        runs += require_runs(folder)
    found, broken = [], {}
    for run in dict.fromkeys(runs):
        try:
            found.append(read_one(run))
        except (OSError, ValueError) as error:
            broken[run] = one_line(error)
    return found, broken


def read_one(folder: Path) -> dict[str, Any]:
    """Return what is known of one run.

    Verdicts in its run.json are taken as they are, because they follow the run's own thresholds. A run that was killed,
    or is older than they, is judged now, under the default ones.

    Returns:
        ``run, overrides, configured`` (whether its config is known), ``root_cause`` (a name, or None), and of its
        run.json ``status, seed, steps, seconds, error, metrics, chance, verdicts, warnings, model``.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is broken.
    """
    from gradlab.artifacts.record import FILE, UNFINISHED, RunRecord, load_run
    from gradlab.diagnosis.verdict import root_cause
    from gradlab.run.verdicts import judge

    record: RunRecord = {"status": UNFINISHED}
    if (folder / FILE).exists():
        record |= load_run(folder)
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
        **{name: record.get(name) for name in known},
    }


def read_config(folder: Path) -> tuple[Mapping[str, Any], Mapping[str, Any], list[str]]:
    """Return a run's config, the option chosen of each group, and the overrides; nothing where Hydra left none.

    Raises:
        ValueError: A file of Hydra's is broken.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from gradlab.artifacts.moved import with_current_names

    files = {name: folder / ".hydra" / f"{name}.yaml" for name in ("config", "hydra", "overrides")}
    if not all(path.exists() for path in files.values()):
        return {}, {}, []
    try:
        loaded = {name: OmegaConf.load(path) for name, path in files.items()}
        config: Any = OmegaConf.to_container(loaded["config"], resolve=True)
        choices: Any = OmegaConf.to_container(loaded["hydra"].hydra.runtime.choices)
    except (OmegaConfBaseException, YAMLError, AttributeError) as error:
        raise ValueError(f".hydra is broken: {one_line(error)}") from error
    return with_current_names(config), choices, [str(text) for text in loaded["overrides"]]
