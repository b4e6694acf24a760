"""Reuse of finished runs: a sweep does not launch a run that its folder already holds."""

from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import yaml
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from gradlab.artifacts.fingerprint import compute_fingerprint, decisive_part, foreign_sources, foreign_targets
from gradlab.artifacts.moved import with_first_names
from gradlab.artifacts.record import read_run
from gradlab.config.hydra_private import hydra_config


def finished(folder: Path, config: DictConfig) -> JobReturn | None:
    """Return the job result of a finished run in the folder, if it has the same config and gate.

    Errors in the config are suppressed here: the run is launched, and reports them itself.

    Args:
        folder: The run's folder.
        config: The run's config as Hydra composed it, with its ``hydra`` node.

    Returns:
        A completed job that returns the run's objective; None if the run must be launched.
    """
    record = read_run(folder)
    if record is None or record.get("status") not in ("completed", "diverged"):
        return None
    with suppress(Exception):
        plain = _resolved(config)
        decisive = decisive_part(plain)
        _import_targets(decisive)
        same = record.get("fingerprint") == compute_fingerprint(plain, foreign_sources(decisive))
        before = yaml.safe_load((folder / ".hydra" / "config.yaml").read_text(encoding="utf-8"))
        if same and with_first_names(before["gate"]) == with_first_names(plain["gate"]):
            objective = record.get("metrics", {}).get(plain["objective"]) if record["status"] == "completed" else None
            result = JobReturn(status=JobStatus.COMPLETED, overrides=list(config.hydra.overrides.task))
            result.return_value = objective
            return result
    return None


def done_elsewhere(overrides: Sequence[str]) -> JobReturn:
    """Return the job result of a run that another process is doing: completed, without an objective.

    Args:
        overrides: The run's overrides.
    """
    result = JobReturn(status=JobStatus.COMPLETED, overrides=list(overrides))
    result.return_value = None
    return result


def _resolved(config: DictConfig) -> dict[str, Any]:
    """Return a composed config without its ``hydra`` node, its interpolations resolved as in the run itself."""
    with hydra_config(config):
        task_config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        return cast(dict[str, Any], OmegaConf.to_container(task_config, resolve=True))


def _import_targets(config: Any) -> None:
    """Import the modules of the user's own targets, whose source is part of the fingerprint."""
    if isinstance(config, dict):
        for target in foreign_targets(config):
            parts = target.split(".")
            for length in range(len(parts) - 1, 0, -1):
                with suppress(ModuleNotFoundError):
                    import_module(".".join(parts[:length]))
                    break
