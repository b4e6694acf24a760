"""What Hydra calls at the start of a run and at the end of a sweep.

It loads this module for every command, `--cfg job` and mistyped keys included: what takes time is imported when needed.
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gradlab.runs import describe


class Sweep(Callback):
    """Refuses a sweep that would run as a single run, keeps its summary, and ends it with one honest count.

    Hydra turns exceptions of callbacks into warnings, so what has to be heard leaves by SystemExit.
    """

    began = 0.0

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse a config that lists sweep values when `-m` was not given."""
        if OmegaConf.select(config, "hydra.sweeper.params"):
            print("gradlab: this experiment is a sweep: add -m", file=sys.stderr)
            raise SystemExit(1)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Note when the sweep began: its folder may hold the runs of earlier ones."""
        self.began = time.time() - 1  # file systems keep times less exactly than the clock

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Put a run of a sweep into its summary; this is called in the process of the run."""
        if config.hydra.mode == RunMode.MULTIRUN:
            from gradlab.sweep.summary import add_run

            add_run(Path(config.hydra.sweep.dir), Path(config.hydra.runtime.output_dir))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Write tables, figures and report, print how the runs of the sweep ended, and exit with 1 if one failed."""
        folder = Path(config.hydra.sweep.dir)
        _summarize(folder)
        endings = read_endings(folder, since=self.began)
        counts = Counter(status for status, _ in endings.values())
        words = [f"{counts[status]} {status}" for status in ("completed", "diverged", "failed")]
        words += [f"{counts['interrupted']} interrupted"] if counts["interrupted"] else []
        print(f"{', '.join(words)}: {folder}")
        for name, (status, reason) in endings.items():
            if status == "failed":
                print(f"gradlab: {name} failed: {reason}", file=sys.stderr)
        if counts["failed"]:
            raise SystemExit(1)


def _summarize(folder: Path) -> None:
    """Write what is made of all runs; where that fails, say so in a line, and let the sweep end as it would."""
    from gradlab.sweep.folders import find_runs
    from gradlab.sweep.rebuild import rebuild
    from gradlab.sweep.rows import read_value

    try:
        runs = list(find_runs(folder))
        # Hydra does not tell its callbacks what the runs of a sweep were told.
        rebuild(folder, runs, draw=read_value(runs[-1], "figures") != "false")
    except Exception as error:
        print(f"gradlab: no report: {describe(error)}", file=sys.stderr)


def read_endings(folder: Path, *, since: float = 0.0) -> dict[str, tuple[str, str]]:
    """How each run of a sweep ended.

    Args:
        folder: The sweep's folder, which holds one folder for each run.
        since: Unix time in seconds; runs that Hydra did not touch after it belong to an earlier sweep.

    Returns:
        (status, one-line reason or "") by the run's folder name. A run without a readable `run.json` has failed.
    """
    touched = [path.parents[1] for path in sorted(folder.glob("*/.hydra/hydra.yaml")) if path.stat().st_mtime >= since]
    return {run.name: _read_ending(run / "run.json") for run in touched}


def _read_ending(path: Path) -> tuple[str, str]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record["status"], record.get("error") or ""
    except (OSError, ValueError, KeyError):
        return "failed", "it left no readable run.json"
