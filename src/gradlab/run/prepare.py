"""Check of a config before its run, and search for an earlier run in the folder; nothing is written."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from gradlab.artifacts.fingerprint import compute_fingerprint, decisive_part, foreign_sources
from gradlab.artifacts.junit import check_place
from gradlab.artifacts.record import RunRecord
from gradlab.config import build
from gradlab.run import checkpoint
from gradlab.run.session import Start


def prepare(
    cfg: DictConfig,
    folder: Path,
    *,
    overrides: Sequence[str],
    choices: Mapping[str, Any],
    foreign: checkpoint.Foreign = "overwrite",
) -> Start:
    """Check a config and look for its run in the folder; nothing is written.

    Args:
        cfg: The composed config; targets that have moved are replaced in place.
        folder: The run's folder.
        overrides: The overrides of the command line, to warn of those without effect.
        choices: The option chosen of each group, for the remedies.
        foreign: How a run of another config in the folder is treated, as in `checkpoint.find`.

    Raises:
        GradlabError: The config is not valid, the JUnit file cannot be written, or the folder holds another run.
    """
    build.update_targets(cfg)
    build.check(cfg)
    gate = build.build(cfg.gate, "gate")
    check_place(gate.junit)
    config = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    fingerprint = compute_fingerprint(config, foreign_sources(decisive_part(config)))
    finished, saved = checkpoint.find(folder, config=config, fingerprint=fingerprint, foreign=foreign)
    begun: RunRecord = {
        "status": "failed",
        "fingerprint": fingerprint,
        "seed": cfg.seed,
        "warnings": [*build.unused_groups(cfg, overrides), *_more_threads_than_cores(cfg.train.threads)],
    }
    return Start(
        record=finished or begun, config=config, choices=choices, gate=gate, finished=finished is not None, saved=saved
    )


def _more_threads_than_cores(threads: int) -> list[str]:
    cores = os.cpu_count() or threads
    return [f"train.threads={threads}: this machine has {cores} cores; more threads only wait"] * (threads > cores)
