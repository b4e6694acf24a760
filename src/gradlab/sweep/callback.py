"""What Hydra calls at the start of a run and at the end of a sweep.

It loads this module for every command, `--cfg job` and mistyped keys included: what takes time is imported when needed.
"""

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gradlab.artifacts.record import UNREADABLE, RunRecord, describe_error, read_run
from gradlab.errors import Ending, GateError, GradlabError

folders: list[Path] = []  # of the runs and sweeps that were begun in this process, for the Python interface


class Sweep(Callback):
    """Refuses a sweep that would run as a single run, keeps its summary, and ends it with one honest count.

    Hydra turns exceptions of callbacks into warnings, so a failure leaves as a SystemExit.
    """

    began = 0.0

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse a config that lists sweep values, or names a sweeper, when `-m` was not given."""
        sweeper = config.hydra.runtime.choices["hydra/sweeper"]
        listed = OmegaConf.select(config, "hydra.sweeper.params")
        if listed or sweeper != "basic":
            what = "this experiment" if listed else f"hydra/sweeper={sweeper}"
            raise Ending(GradlabError(f"{what} is a sweep: add -m"))
        note_folder(config, "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Note when the sweep began: its folder may hold the runs of earlier ones."""
        self.began = time.time() - 1  # file systems keep times less exactly than the clock
        note_folder(config, "hydra.sweep.dir")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Put a run of a sweep into its summary; this is called in the process of the run."""
        if config.hydra.mode == RunMode.MULTIRUN:
            from gradlab.sweep.summary import add_run

            add_run(Path(config.hydra.sweep.dir), Path(config.hydra.runtime.output_dir))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Write tables, figures and report, and print how the runs ended.

        Exit with 1 if one failed, with 3 if one did not pass its gate.
        """
        folder = Path(config.hydra.sweep.dir)
        _summarize(folder)
        records = read_records(folder, since=self.began)
        counts = Counter(record["status"] for record in records.values())
        words = [f"{counts[status]} {status}" for status in ("completed", "diverged", "failed")]
        words += [f"{counts['interrupted']} interrupted"] if counts["interrupted"] else []
        print(f"{', '.join(words)}: {folder}")
        for name, record in records.items():
            if record["status"] == "failed":
                print(f"gradlab: {name} failed: {record.get('error', '')}", file=sys.stderr)
            elif reasons := record.get("gate"):
                print(f"gradlab: {name} does not pass its gate: {'; '.join(reasons)}", file=sys.stderr)
        if junit := OmegaConf.select(config, "gate.junit"):
            from gradlab.artifacts.junit import write_junit

            write_junit(Path(junit), records)
        if counts["failed"]:
            raise Ending(GradlabError(f"{counts['failed']} of {len(records)} runs failed: {folder}"), printed=True)
        if stopped := sum(bool(record.get("gate")) for record in records.values()):
            raise Ending(GateError(f"{stopped} of {len(records)} runs do not pass the gate: {folder}"), printed=True)


def note_folder(config: DictConfig, key: str) -> None:
    """Append a folder that the config names to `folders`, if it names one."""
    if name := OmegaConf.select(config, key):
        folders.append(Path(name).absolute())


def _summarize(folder: Path) -> None:
    """Write what is made of all runs; where that fails, say so in a line, and let the sweep end as it would."""
    from gradlab.artifacts.folders import find_runs
    from gradlab.run.row import read_value
    from gradlab.sweep.rebuild import rebuild

    try:
        found = list(find_runs(folder))
        # callbacks get the sweep's config, not the runs' overrides
        rebuild(folder, found, draw=read_value(found[-1], "figures") != "false")
    except Exception as error:
        print(f"gradlab: no report: {describe_error(error)}", file=sys.stderr)


def read_records(folder: Path, *, since: float = 0.0) -> dict[str, RunRecord]:
    """Return how each run of a sweep ended.

    Args:
        folder: The sweep's folder, which holds one folder for each run.
        since: Unix time in seconds; runs that Hydra did not touch after it belong to an earlier sweep.

    Returns:
        The content of each run.json by the run's folder name. A run without a readable one has failed.
    """
    begun = {path.parents[1].name: path.stat().st_mtime for path in folder.glob("*/.hydra/hydra.yaml")}
    # A run whose process was lost before it began has no .hydra.
    ended = {path.parent.name: path.stat().st_mtime for path in folder.glob("*/run.json")}
    touched = [name for name, seconds in (ended | begun).items() if seconds >= since]
    lost: RunRecord = {"status": "failed", "error": UNREADABLE}
    return {name: read_run(folder / name) or lost for name in sorted(touched)}
