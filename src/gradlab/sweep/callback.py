"""Hydra callback for the start of a run and for the runs and the end of a sweep.

Hydra imports this module for every command, even `--cfg job`, so slow imports are inside the functions.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gradlab.artifacts.record import UNREADABLE, RunRecord, describe_error, read_run
from gradlab.borders import print_line
from gradlab.errors import Ending, GateError, GradlabError

folders: list[Path] = []  # folders of the runs and sweeps started in this process, for the Python interface

launched: dict[str, None] = {}  # names of the runs of the sweep under way, in the order of the command


class Sweep(Callback):
    """Callback that refuses a sweep without `-m`, updates the summary, and reports how many runs failed.

    Hydra downgrades exceptions in callbacks to warnings, so failures are raised as SystemExit.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse a config that lists sweep values or names a sweeper if `-m` was not given.

        Raises:
            Ending: The config is a sweep.
        """
        sweeper = config.hydra.runtime.choices["hydra/sweeper"]
        values = OmegaConf.select(config, "hydra.sweeper.params")
        if values or sweeper != "basic":
            subject = "this experiment" if values else f"hydra/sweeper={sweeper}"
            raise Ending(GradlabError(f"{subject} is a sweep: add -m"))
        note_folder(config, "hydra.run.dir")
        from gradlab.config import hydra_files

        hydra_files.defer(config)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Forget the runs of an earlier sweep of this process."""
        launched.clear()
        note_folder(config, "hydra.sweep.dir")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Add a run of a sweep to the summary; Hydra calls this in the process of the run."""
        if config.hydra.mode == RunMode.MULTIRUN:
            from gradlab.sweep.summary import add_run

            note_runs([Path(config.hydra.runtime.output_dir)])  # for Hydra's own launchers, which work in this process
            add_run(Path(config.hydra.sweep.dir), Path(config.hydra.runtime.output_dir))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Write tables, figures and report, and print the number of runs with each status.

        Raises:
            Ending: A run failed (exit code 1), in a remedies sweep one of the config as it is; or a run did
                not pass its gate (exit code 3).
        """
        folder = Path(config.hydra.sweep.dir)
        _summarize(folder)
        from gradlab.artifacts.lock import is_held

        # Runs are known by their names. No launcher of another project notes them: then all in the folder count.
        records = read_records(folder, names=launched or None)
        elsewhere = [name for name in records if is_held(folder / name)]
        records = {name: record for name, record in records.items() if name not in elsewhere}
        counts = Counter(record["status"] for record in records.values())
        totals = [f"{counts[status]} {status}" for status in ("completed", "diverged", "failed")]
        totals += [f"{counts['interrupted']} interrupted"] if counts["interrupted"] else []
        totals += [f"{len(elsewhere)} still being done by another process"] if elsewhere else []
        print_line(f"{', '.join(totals)}: {folder}")
        for name, record in records.items():
            if record["status"] == "failed":
                print_line(f"gradlab: {name} failed: {record.get('error', '')}", to_stderr=True)
            elif reasons := record.get("gate"):
                print_line(f"gradlab: {name} does not pass its gate: {'; '.join(reasons)}", to_stderr=True)
        junit = OmegaConf.select(config, "gate.junit")
        if junit and isinstance(junit, str):  # the runs refuse anything else
            from gradlab.artifacts.junit import write_junit

            write_junit(Path(junit), records)
        failed = {name for name, record in records.items() if record["status"] == "failed"}
        if failed and not only_remedies(folder, failed):
            raise Ending(GradlabError(f"{counts['failed']} of {len(records)} runs failed: {folder}"), printed=True)
        if rejected := sum(bool(record.get("gate")) for record in records.values()):
            raise Ending(GateError(f"{rejected} of {len(records)} runs do not pass the gate: {folder}"), printed=True)


def only_remedies(folder: Path, failed: Collection[str]) -> bool:
    """Whether the failed runs are all of remedies in a remedies sweep: that a remedy fails is one of its results.

    Args:
        folder: The sweep's folder.
        failed: Names of the failed runs.
    """
    from gradlab.sweep.remedies.plan import read_plan

    try:
        trials = read_plan(folder)
    except (OSError, ValueError):
        return False
    return {*failed} <= {name for trial in trials if trial.kind != "base" for name in trial.folders}


def note_folder(config: DictConfig, key: str) -> None:
    """Append the folder under a key of the config to `folders`, if the key is set."""
    if name := OmegaConf.select(config, key):
        folders.append(Path(name).absolute())


def note_runs(runs: Iterable[Path]) -> None:
    """Note runs of the sweep under way, by the names of their folders."""
    launched.update(dict.fromkeys(run.name for run in runs))


def _summarize(folder: Path) -> None:
    """Write the tables, figures and report of all runs; an error is printed in one line and not raised."""
    from gradlab.artifacts.folders import find_runs
    from gradlab.run.row import read_value
    from gradlab.sweep.rebuild import rebuild

    try:
        runs = list(find_runs(folder))
        # callbacks get the sweep's config, not the runs' overrides
        rebuild(folder, runs, draw=read_value(runs[-1], "figures") != "false")
    except Exception as error:
        print_line(f"gradlab: no report: {describe_error(error)}", to_stderr=True)


def read_records(folder: Path, *, names: Iterable[str] | None = None) -> dict[str, RunRecord]:
    """Return the run.json of each run of a sweep.

    Args:
        folder: The sweep's folder, which holds one folder for each run.
        names: Names of the folders of the runs; by default all that the folder holds.

    Returns:
        Name of the run's folder to content of its run.json; the status is ``failed`` if that cannot be read.
    """
    if names is None:
        started = {path.parents[1].name for path in folder.glob("*/.hydra/hydra.yaml")}
        # A run whose process died before it started has no .hydra.
        names = started | {path.parent.name for path in folder.glob("*/run.json")}
    lost: RunRecord = {"status": "failed", "error": UNREADABLE}
    return {name: read_run(folder / name) or lost for name in sorted(names)}
