"""Train the same runs alone and as one group, in this process, and measure the distance of their files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from gradlab.artifacts.environment import describe_environment
from gradlab.fused.finish import conclude
from gradlab.fused.group_size import GroupSize
from gradlab.fused.grouping import obstacle, program
from gradlab.fused.train_group import Member, SharedData, train
from gradlab.run.execute import execute
from gradlab.run.prepare import prepare
from tests.support.running import compose_config

KEYS = ["step", "depth_index", "layer", "role"]


def alone(folder: Path, runs: Sequence[Sequence[str]]) -> list[Path]:
    folders = [folder / f"alone{i}" for i in range(len(runs))]
    for own, overrides in zip(folders, runs, strict=True):
        own.mkdir(parents=True)
        execute(compose_config("figures=false", *overrides), own, overrides=overrides, choices={}, brief=True)
    return folders


def together(folder: Path, runs: Sequence[Sequence[str]]) -> list[Path]:
    folders = [folder / f"fused{i}" for i in range(len(runs))]
    members = []
    for own, overrides in zip(folders, runs, strict=True):
        own.mkdir(parents=True)
        cfg = compose_config("figures=false", *overrides)
        start = prepare(cfg, own, overrides=overrides, choices={})
        members.append(Member(cfg=cfg, folder=own, record=start.record, start=start))
    assert len({program(member.start.config) for member in members}) == 1
    assert obstacle(members[0].start.config) is None
    train(
        members,
        load=SharedData(),
        environment=describe_environment,
        choose=lambda loops: GroupSize(count=len(loops), reason=""),
    )
    for member in members:
        conclude(member)
    return folders


def parameter_distance(one: Path, other: Path) -> float:
    """Return the distance of two runs' parameters, relative to their norm; the rest of a checkpoint must agree."""
    first, second = (torch.load(f / "checkpoint.pt", weights_only=True) for f in (one, other))
    for name in ("step", "status", "fingerprint"):
        assert first[name] == second[name]
    assert list(first["optimizer"]["state"]) == list(second["optimizer"]["state"])
    for place, state in first["optimizer"]["state"].items():
        assert set(state) == set(second["optimizer"]["state"][place])
    assert _distance(first["optimizer"]["state"], second["optimizer"]["state"]) < 1e-4
    assert first["optimizer"]["param_groups"] == second["optimizer"]["param_groups"]
    assert repr(first["lr_scheduler"]) == repr(second["lr_scheduler"])
    assert repr(first["rng"]) == repr(second["rng"])
    assert torch.equal(first["rng"]["cpu"], second["rng"]["cpu"])
    return _distance(first["model"], second["model"])


def _flat(tree: Any) -> list[torch.Tensor]:
    if isinstance(tree, dict):
        return [part for value in tree.values() for part in _flat(value)]
    return [tree.double().flatten()] if isinstance(tree, torch.Tensor) else []


def _distance(one: Any, other: Any) -> float:
    parts = _flat(one), _flat(other)
    if not parts[0]:
        return 0.0
    first, second = torch.cat(parts[0]), torch.cat(parts[1])
    both = torch.isnan(first) & torch.isnan(second)
    return float(((first - second)[~both]).norm() / first[~both].norm())


def table_distance(one: Path, other: Path, name: str) -> pd.Series:
    """Return for each column of a table the largest distance of its figures.

    It is relative to the figure itself, except for figures whose rounding errors do not shrink with the figure: a mean
    is measured by the standard deviation beside it, a cosine by 1, and a quantile of a gradient's entries (not its
    logarithm) by the quantile plus a hundredth of the gradient's norm.
    """
    first, second = (pd.read_csv(folder / name) for folder in (one, other))
    assert list(first.columns) == list(second.columns)
    assert len(first) == len(second)
    words = [column for column in first.columns if first[column].dtype.kind not in "fi"]
    assert first[words].equals(second[words])
    numbers = [column for column in first.columns if column not in words]
    a, b = first[numbers].astype(float), second[numbers].astype(float)
    assert (a.isna() == b.isna()).all().all()
    scale = a.abs().clip(lower=1e-30)
    for column in numbers:
        if column == "activation_mean":
            scale[column] = a[[column, "activation_std"]].abs().max(axis=1)
        elif column.endswith("_cosine"):
            scale[column] = 1.0
        elif column.startswith("grad_log10_"):
            a[column], b[column] = 10 ** a[column], 10 ** b[column]
            scale[column] = (a[column] + 1e-2 * a["preactivation_grad_norm"]).clip(lower=1e-30)
    both = (a == b) | a.isna()
    return ((a - b).abs() / scale).where(~both, 0.0).max()
