"""Runs made up for the rules: tables without a network."""

from dataclasses import replace

import numpy as np

from gradlab.diagnosis.config_facts import Setting
from gradlab.diagnosis.evidence import Evidence

PLAIN = Setting(activation="relu", normalization="none", residual="none", lr=0.1, chance=2.3, chance_accuracy=0.1)


def make(*, hidden=5, moments=11, losses=None, setting=PLAIN, status="completed", times=None, **columns) -> Evidence:
    """Return a run that learned nothing but has nothing wrong; columns are scalars, rows or whole tables."""
    shape = (moments, hidden + 1)
    table = {"preactivation_norm": 1.0, "preactivation_std": 1.0, "preactivation_grad_norm": 1.0, "weight_norm": 10.0,
             "update_ratio": 1e-3, "saturated_fraction": 0.4, "dead_fraction": 0.1}  # fmt: skip
    found = {name: np.array(np.broadcast_to(value, shape), float) for name, value in (table | columns).items()}
    steps = 10 * np.arange(moments)
    losses = np.full(moments, 2.3) if losses is None else np.array(losses, float)
    times = np.empty((0, 0)) if times is None else np.array(times, float)
    return Evidence(
        steps=steps, depths=np.arange(1, hidden + 2), hidden=hidden, columns=found, losses=losses,
        loss_steps=10.0 * np.arange(len(losses)), grad_norms=np.ones(len(losses)), clipped_norms=np.ones(len(losses)),
        times=times, time_steps=10.0 * np.arange(len(times)), status=status, setting=setting,
    )  # fmt: skip


def untrained(**columns) -> Evidence:
    """Return what train=init records: one step, no update."""
    setting = replace(columns.pop("setting", PLAIN), trains=False)
    return make(moments=1, setting=setting, update_ratio=np.nan, **columns)
