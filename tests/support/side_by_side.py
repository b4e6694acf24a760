"""The same runs alone and as one group, in this process, and how far their files are apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from gradlab.artifacts.environment import describe_environment
from gradlab.fused.finish import conclude
from gradlab.fused.group_size import Width
from gradlab.fused.grouping import obstacle, program
from gradlab.fused.train_group import Member, Shared, train
from gradlab.run.execute import execute, prepare
from tests.support.running import compose_config

KEYS = ["step", "depth_index", "layer", "role"]


def alone(folder: Path, arms: Sequence[Sequence[str]]) -> list[Path]:
    folders = [folder / f"alone{i}" for i in range(len(arms))]
    for own, arm in zip(folders, arms, strict=True):
        own.mkdir(parents=True)
        execute(compose_config("figures=false", *arm), own, overrides=arm, choices={}, brief=True)
    return folders


def together(folder: Path, arms: Sequence[Sequence[str]]) -> list[Path]:
    folders = [folder / f"fused{i}" for i in range(len(arms))]
    members = []
    for own, arm in zip(folders, arms, strict=True):
        own.mkdir(parents=True)
        cfg = compose_config("figures=false", *arm)
        start = prepare(cfg, own, overrides=arm, choices={})
        members.append(Member(cfg=cfg, folder=own, record=start.record, start=start))
    assert len({program(member.start.config) for member in members}) == 1
    assert obstacle(members[0].start.config) is None
    train(
        members,
        load=Shared(),
        environment=describe_environment,
        choose=lambda loops: Width(count=len(loops), reason=""),
    )
    for member in members:
        conclude(member)
    return folders


def parameter_distance(one: Path, other: Path) -> float:
    """Return how far two runs' parameters are apart, relative to their norm; the rest of a checkpoint must agree."""
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


def table_distance(one: Path, other: Path, name: str, *, rounded: bool = False) -> pd.Series:
    """Return for each column of a table the largest relative distance of its figures.

    Args:
        one: A run's folder.
        other: The other run's.
        name: The table.
        rounded: Whether figures in which rounding cancels are measured by what they are a difference of.
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
    if rounded and "activation_mean" in scale:
        scale["activation_mean"] = a[["activation_mean", "activation_std"]].abs().max(axis=1)
        scale["weight_grad_cosine"] = 1.0
        # where the smallest entries of dL/dz are differences of rounded numbers, rounding decides whether one is zero
        for table in (a, b):
            table["grad_log10_p5"] = table["grad_log10_p5"].clip(lower=-11)
    both = (a == b) | a.isna()
    return ((a - b).abs() / scale).where(~both, 0.0).max()
