"""MLflow: runs in a local database, or on a server."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from gradlab.loggers.series import findings, flattened

_METRICS, _PARAMS = 1000, 100  # MLflow's own limits on one request
_TAG = "gradlab.folder"
_ENDINGS = {"completed": "FINISHED", "diverged": "FINISHED", "interrupted": "KILLED"}


class MLflow:
    """Metrics by step, the config as parameters, findings as tags, figures and tables of findings as artifacts.

    A run that goes on after an interruption goes on in MLflow too: it is found by its folder, and what it has already
    been told is not told again.

    Args:
        folder: The run's folder.
        config: The run's config as plain dictionaries.
        start: Step at which the run begins or goes on.
        tracking_uri: Where MLflow keeps its runs; null for what its environment variables say.
        artifacts: Folder for the files of an experiment that is created here in a local database.
        experiment: Name of the experiment, created where there is none.
    """

    def __init__(
        self,
        *,
        folder: Path,
        config: Mapping[str, Any],
        start: int,
        tracking_uri: str | None = None,
        artifacts: str = "outputs/mlflow",
        experiment: str = "gradlab",
    ) -> None:
        if (tracking_uri or "").startswith("sqlite:///"):
            Path(str(tracking_uri).removeprefix("sqlite:///")).absolute().parent.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(tracking_uri)
        place = Path(artifacts).absolute().as_uri() if (tracking_uri or "").startswith("sqlite:") else None
        found = self._client.get_experiment_by_name(experiment)
        identity = found.experiment_id if found else self._client.create_experiment(experiment, place)
        tag = str(folder.absolute())
        before = self._client.search_runs([identity], f"tags.`{_TAG}` = '{tag}'", max_results=1) if start else []
        run = before[0] if before else self._client.create_run(identity, run_name=folder.name, tags={_TAG: tag})
        self._run = run.info.run_id
        self._known = _last_steps(self._client, self._run, run.data.metrics)
        self._waiting: list[Metric] = []
        self._client.update_run(self._run, status="RUNNING")
        if not before:
            params = [Param(name, str(value)) for name, value in flattened(config).items()]
            for part in _parts(params, _PARAMS):
                self._client.log_batch(self._run, params=part)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take in the figures of one step; they go out in large parts."""
        now = int(time.time() * 1000)
        self._waiting += [
            Metric(name, value, now, step) for name, value in values.items() if step > self._known.get(name, -1)
        ]
        if len(self._waiting) >= _METRICS:
            self._flush()

    def finish(self, record: Mapping[str, Any], figures: Sequence[Path]) -> None:
        """Write what is waiting, the findings and the figures, and say how the run ended."""
        self._flush()
        for name, value in findings(record).items():
            self._client.set_tag(self._run, f"gradlab.{name}", value)
        for path in figures:
            self._client.log_artifact(self._run, str(path), "figures")
        self._client.set_terminated(self._run, _ENDINGS.get(record["status"], "FAILED"))

    def _flush(self) -> None:
        for part in _parts(self._waiting, _METRICS):
            self._client.log_batch(self._run, metrics=part)
        self._waiting = []


def _last_steps(client: MlflowClient, run: str, names: Mapping[str, float]) -> dict[str, int]:
    """Return the last step of each metric that a run has been told."""
    return {name: max(item.step for item in client.get_metric_history(run, name)) for name in names}


def _parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
