"""The command `gradlab-explain`: what was wrong with a finished run, why, and what may help, from its files alone.

Like `gradlab.cli` it imports nothing heavy at its top; torch, Hydra and matplotlib are never imported.
"""

import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gradlab.cli.parser import Parser
from gradlab.errors import GradlabError


def main() -> None:
    """Run the command line in `sys.argv`.

    Raises:
        SystemExit: With 1 after an error, or where the files of a run are broken; such runs are named on stderr.
    """
    broken: dict[Path, str] = {}
    try:
        args = _parser().parse_args()
        found, broken = explain(args.folders)
    except GradlabError as error:
        print(f"gradlab-explain: {error}", file=sys.stderr)
        sys.exit(1)
    try:
        _say(found, as_json=args.json)
        sys.stdout.flush()
    except BrokenPipeError:  # `gradlab-explain RUN | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for run, reason in broken.items():
        print(f"gradlab-explain: {run}: {reason}", file=sys.stderr)
    sys.exit(1 if broken else 0)


def _say(found: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    from gradlab.cli.explain_text import page, tally

    if as_json:
        print(json.dumps(found, indent=2))
    elif found:
        print(*tally(found) if len(found) > 1 else page(found[0]), sep="\n")


def explain(folders: Sequence[Path]) -> tuple[list[dict[str, Any]], dict[Path, str]]:
    """Return what is to be said of each run.

    Args:
        folders: Runs, sweeps, or folders of them.

    Returns:
        For each run ``run, overrides, configured`` (whether its config is known), ``root_cause`` (a name, or None),
        and of its run.json ``status, seed, steps, seconds, error, metrics, chance, verdicts, warnings``; and the runs
        that cannot be read, and why.

    Raises:
        GradlabError: A folder is not there or holds no run.
    """
    from gradlab.artifacts.folders import find_runs

    runs: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise GradlabError(f"{folder}: there is no such folder")
        inside = list(find_runs(folder))
        if not inside:
            raise GradlabError(f"{folder}: holds no run: a run's folder has a run.json or a gradients.csv")
        runs += inside
    found, broken = [], {}
    for run in dict.fromkeys(runs):
        try:
            found.append(explain_run(run))
        except (OSError, ValueError) as error:
            broken[run] = " ".join(str(error).split())
    return found, broken


def explain_run(folder: Path) -> dict[str, Any]:
    """Return what is to be said of one run, as `explain` does.

    Verdicts that the run left are taken as they are, since they were drawn under its own thresholds. A run that was
    killed, or is older than they, is judged now, under the default ones.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is broken.
    """
    from gradlab.artifacts.record import FILE, RunRecord, load_run
    from gradlab.diagnosis.verdict import root_cause
    from gradlab.run.verdicts import judge

    record: RunRecord = {"status": "unfinished"}
    if (folder / FILE).exists():
        record |= load_run(folder)
    config, choices, overrides = _read_config(folder)
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


def _parser() -> ArgumentParser:
    parser = Parser(
        prog="gradlab-explain",
        description="Say what was wrong with a run, why, and what may help: a page for one run, a paragraph for each "
        "of several.",
        allow_abbrev=False,
    )
    parser.add_argument("folders", nargs="+", metavar="RUN", type=Path, help="a run, a sweep, or a folder of them")
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects, one for each run")
    return parser


def _read_config(folder: Path) -> tuple[Mapping[str, Any], Mapping[str, Any], list[str]]:
    """Return a run's config, the option chosen of each group, and the overrides; nothing where it was not Hydra's."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    files = {name: folder / ".hydra" / f"{name}.yaml" for name in ("config", "hydra", "overrides")}
    if not all(path.exists() for path in files.values()):
        return {}, {}, []
    try:
        loaded = {name: OmegaConf.load(path) for name, path in files.items()}
        config: Any = OmegaConf.to_container(loaded["config"], resolve=True)
        choices: Any = OmegaConf.to_container(loaded["hydra"].hydra.runtime.choices)
    except (OmegaConfBaseException, YAMLError, AttributeError) as error:
        raise ValueError(f".hydra is broken: {' '.join(str(error).split())}") from error
    return config, choices, [str(text) for text in loaded["overrides"]]
