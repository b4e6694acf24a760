"""Figures of a finished run: each function takes the run's folder and returns one number from its files.

Layers are the hidden layers on the main path, at one recorded step. Growth is measured in the backward direction: a
gradient explodes above 1 and vanishes below 1.
"""

from math import exp, inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gradlab.artifacts.record import load_run


def recorded(run: Path, *, name: str) -> float:
    """Return a number of run.json.

    Args:
        run: The run's folder.
        name: Dotted path of the number, such as ``metrics.eval_accuracy``.
    """
    value: Any = load_run(run)
    for part in name.split("."):
        value = value[part]
    return float(value)


def diverged(run: Path) -> float:
    """Return 1 if the run ended with a loss that is not finite, else 0."""
    return float(load_run(run)["status"] == "diverged")


def lowest(run: Path, *, column: str) -> float:
    """Return the smallest value of a column of metrics.csv."""
    return float(_metric(run, column).min())


def highest(run: Path, *, column: str) -> float:
    """Return the largest value of a column of metrics.csv."""
    return float(_metric(run, column).max())


def final(run: Path, *, column: str, over: int = 1) -> float:
    """Return the mean of the last ``over`` values of a column of metrics.csv."""
    return float(_metric(run, column).iloc[-over:].mean())


def steps_until(run: Path, *, column: str, below: float) -> float:
    """Return the first step at which a column of metrics.csv is below a value; inf if there is none."""
    values = _metric(run, column)
    under = values.index[values < below]
    return float(under[0]) if len(under) else inf


def at_layer(run: Path, *, column: str, layer: int, step: int = 0) -> float:
    """Return a column of gradients.csv at one layer, counted from 1 at the input, or from -1 at the last hidden one."""
    return float(_layers(run, column, step).iloc[layer - 1 if layer > 0 else layer])


def growth(run: Path, *, column: str, first: int = 1, last: int | None = None, step: int = 0) -> float:
    """Return the factor per layer by which a norm in gradients.csv grows from the last layer to the first.

    That is exp(-slope) of the norm's logarithm against depth, by least squares.

    Args:
        run: The run's folder.
        column: Column of the norm.
        first: First layer of the fit.
        last: Last layer of the fit; None for the last hidden layer.
        step: The recorded step.
    """
    return _growth(_layers(run, column, step).loc[first:last])


def first_over_last(run: Path, *, column: str, step: int = 0) -> float:
    """Return the value of a column of gradients.csv at the first layer, divided by that at the last."""
    values = _layers(run, column, step)
    return float(values.iloc[0] / values.iloc[-1])


def unevenness(run: Path, *, column: str, step: int = 0) -> float:
    """Return max / min - 1 of a column of gradients.csv over the layers."""
    values = _layers(run, column, step)
    return float(values.max() / values.min() - 1)


def time_growth(run: Path, *, column: str, first: int = 0, last: int | None = None, step: int = 0) -> float:
    """Return the factor per time step by which a norm in timesteps.csv grows from the last step to the first.

    Args:
        run: The run's folder.
        column: Column of the norm.
        first: First time step of the fit.
        last: Last time step of the fit; None for the last one.
        step: The recorded training step.
    """
    table = pd.read_csv(run / "timesteps.csv").query("step == @step and depth_index == 1")
    return _growth(table.set_index("time")[column].loc[first:last])


def likeness(run: Path, *, layer: int = 1, lag: int = 1, step: int = 0) -> float:
    """Return the cosine between the gradients of neighbouring inputs at a layer, from neighbours.csv."""
    table = pd.read_csv(run / "neighbours.csv").query("step == @step and lag == @lag")
    return float(table.set_index("depth_index").grad_cosine[layer])


def _metric(run: Path, column: str) -> pd.Series:
    """Return the measured cells of a column of metrics.csv by step."""
    return pd.read_csv(run / "metrics.csv").set_index("step")[column].dropna()


def _layers(run: Path, column: str, step: int) -> pd.Series:
    """Return a column of gradients.csv at one step by depth, without the head."""
    table = pd.read_csv(run / "gradients.csv").query("step == @step and role == 'main'")
    return table.set_index("depth_index")[column].iloc[:-1].dropna()


def _growth(norms: pd.Series) -> float:
    """Return exp(-slope) of the log of norms against their index; nan if a norm has underflowed to 0."""
    if not (norms > 0).all():
        return nan
    return exp(-np.polyfit(norms.index, np.log(norms), 1)[0])
