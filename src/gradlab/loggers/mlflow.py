"""MLflow: logs to a local database or to a server."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from gradlab.artifacts.record import RunRecord
from gradlab.loggers.series import findings, flattened

_METRICS, _PARAMS = 1000, 100  # MLflow's limits on one request
_TAG = "gradlab.folder"
_ENDINGS = {"completed": "FINISHED", "diverged": "FINISHED", "interrupted": "KILLED"}


class MLflow:
    """Logs metrics by step, the config as parameters, findings as tags and figures as artifacts.

    A resumed run continues its MLflow run, which is found by the run's folder; steps it has already are not logged
    again.

    Args:
        folder: The run's folder.
        config: The run's config as plain dictionaries.
        start: Step at which the run starts or resumes.
        tracking_uri: URI of MLflow's database or server; null for MLflow's environment variables.
        artifacts: Folder for the artifacts of an experiment that is created in a local database.
        experiment: Name of the experiment, which is created if it does not exist.
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
        location = Path(artifacts).absolute().as_uri() if (tracking_uri or "").startswith("sqlite:") else None
        existing = self._client.get_experiment_by_name(experiment)
        identity = existing.experiment_id if existing else self._client.create_experiment(experiment, location)
        tag = str(folder.absolute())
        resumed = self._client.search_runs([identity], f"tags.`{_TAG}` = '{tag}'", max_results=1) if start else []
        run = resumed[0] if resumed else self._client.create_run(identity, run_name=folder.name, tags={_TAG: tag})
        self._run = run.info.run_id
        self._last_steps = _last_steps(self._client, self._run, run.data.metrics)
        self._pending: list[Metric] = []
        self._client.update_run(self._run, status="RUNNING")
        if not resumed:
            params = [Param(name, str(value)) for name, value in flattened(config).items()]
            for part in _parts(params, _PARAMS):
                self._client.log_batch(self._run, params=part)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log the figures of one step; they are buffered and sent in large requests."""
        now = int(time.time() * 1000)
        self._pending += [
            Metric(name, value, now, step) for name, value in values.items() if step > self._last_steps.get(name, -1)
        ]
        if len(self._pending) >= _METRICS:
            self._flush()

    def finish(self, record: RunRecord, figures: Sequence[Path]) -> None:
        """Send pending metrics, findings and figures, and set the run's status."""
        self._flush()
        for name, value in findings(record).items():
            self._client.set_tag(self._run, f"gradlab.{name}", value)
        for path in figures:
            self._client.log_artifact(self._run, str(path), "figures")
        self._client.set_terminated(self._run, _ENDINGS.get(record["status"], "FAILED"))

    def _flush(self) -> None:
        for part in _parts(self._pending, _METRICS):
            self._client.log_batch(self._run, metrics=part)
        self._pending = []


def _last_steps(client: MlflowClient, run: str, names: Mapping[str, float]) -> dict[str, int]:
    """Return the last logged step of each metric of a run."""
    return {name: max(item.step for item in client.get_metric_history(run, name)) for name in names}


def _parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
