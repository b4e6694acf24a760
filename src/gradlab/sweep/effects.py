"""Main effects and pairwise interactions of the options in a full grid, on the gradient and on the loss.

Two compared runs share their seed and differ in one key only, so that the seed's contribution cancels.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradlab.artifacts.atomic import replacing
from gradlab.borders import table_cell
from gradlab.view.format import label, short
from gradlab.view.sweeps import Sweep

FILE = "effects.csv"
_NEUTRAL = "none"
_UNITS = {"gradient": " decades", "loss": ""}


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Effect of one override, or interaction of two.

    Attributes:
        response: ``gradient``: number of decades by which the gradient ratio at step 0 comes nearer to 1, so that
            larger is better. ``loss``: change of the final test loss, or of the training loss if there is no test
            loss.
        kind: ``alone``: with the other keys at their reference values. ``average``: mean over all values of the other
            keys. ``pair``: interaction of two overrides, beyond the sum of their effects, averaged likewise.
        key: The override's key.
        value: The override's value.
        against: The reference value: ``none`` if it was swept, else the first value in the command.
        other_key: Key of the second override of a pair.
        other_value: Value of the second override.
        other_against: Reference value of the second override.
        effect: Mean over the seeds.
        low: Lower end of the mean's 95% interval, by Student's t over the seeds; nan for one seed.
        high: Upper end of that interval.
        seeds: Number of seeds for which the effect could be measured.
        sentence: The effect in words.
    """

    response: str
    kind: str
    key: str
    value: str
    against: str
    other_key: str = ""
    other_value: str = ""
    other_against: str = ""
    effect: float
    low: float
    high: float
    seeds: int
    sentence: str


def find_effects(sweep: Sweep) -> list[Effect]:
    """Return the effects of a full grid; none if a combination of values is missing or occurs twice.

    Comparisons with a ratio of 0 or infinity, or with a loss that is not finite, are left out.
    """
    levels = {key: _levels(sweep.table[key]) for key in sweep.swept}
    seeds = list(dict.fromkeys(sweep.table["seed"]))
    shape = [*map(len, levels.values()), len(seeds)]
    if not levels or len(sweep.table) != np.prod(shape):
        return []
    places = [[values.index(cell) for cell in sweep.table[key]] for key, values in levels.items()]
    places.append([seeds.index(seed) for seed in sweep.table["seed"]])
    if len(set(zip(*places, strict=True))) < len(sweep.table):
        return []
    effects = []
    for response, values in _responses(sweep.table).items():
        grid = np.full(shape, np.nan)
        grid[tuple(places)] = values
        if np.isfinite(grid).any():
            effects += [*_singles(response, grid, levels), *_pairs(response, grid, levels)]
    return effects


def write_effects(folder: Path, effects: Sequence[Effect]) -> None:
    """Write ``effects.csv``, or remove it if there are no effects."""
    if not effects:
        (folder / FILE).unlink(missing_ok=True)
        return
    names = [item.name for item in fields(Effect)]
    with replacing(folder / FILE) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for effect in effects:
            cells = [getattr(effect, name) for name in names]
            writer.writerow(["" if cell != cell else table_cell(str(cell)) for cell in cells])


def _responses(table: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    ratio = table["gradient_ratio_initial"]
    if "time_gradient_ratio_initial" in table:
        ratio = table["time_gradient_ratio_initial"].fillna(ratio)
    loss = table["eval_loss"].fillna(table["train_loss"]).where(table["status"] == "completed")
    with np.errstate(all="ignore"):
        distance = -np.abs(np.log10(ratio.to_numpy(dtype=float)))
    return {"gradient": np.where(np.isfinite(distance), distance, np.nan), "loss": loss.to_numpy(dtype=float)}


def _levels(cells: pd.Series) -> list[str]:
    """Return the values of a key, the reference value first."""
    values = list(dict.fromkeys(cells))
    return sorted(values, key=lambda value: value != _NEUTRAL)


def _singles(response: str, grid: NDArray[np.float64], levels: Mapping[str, Sequence[str]]) -> Iterator[Effect]:
    for axis, (key, values) in enumerate(levels.items()):
        others = label({other: choices[0] for other, choices in levels.items() if other != key})
        for place, value in enumerate(values[1:], start=1):
            change = np.take(grid, place, axis) - np.take(grid, 0, axis)
            subject = f"{label({key: value})} instead of {values[0]}"
            names = {"response": response, "key": key, "value": value, "against": values[0]}
            alone = change[(0,) * (change.ndim - 1)]
            yield from _effect(alone, f"{subject} (with {others})" if others else subject, kind="alone", **names)
            if others:
                yield from _effect(change, f"{subject}, on average", kind="average", **names)


def _pairs(response: str, grid: NDArray[np.float64], levels: Mapping[str, Sequence[str]]) -> Iterator[Effect]:
    for (first, (key, values)), (second, (other, others)) in combinations(enumerate(levels.items()), 2):
        for place, value in enumerate(values[1:], start=1):
            change = np.take(grid, place, first) - np.take(grid, 0, first)
            for spot, choice in enumerate(others[1:], start=1):
                # np.take has removed the axis of the first key
                beyond = np.take(change, spot, second - 1) - np.take(change, 0, second - 1)
                subject = f"{label({key: value})} with {label({other: choice})}, beyond the sum of both"
                yield from _effect(
                    beyond, subject, response=response, kind="pair", key=key, value=value, against=values[0],
                    other_key=other, other_value=choice, other_against=others[0],
                )  # fmt: skip


def _over_the_others(change: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each seed the mean over all finite settings of the other keys, nan if there is none.

    Args:
        change: Differences, of shape (values of each other key, ..., seeds).

    Returns:
        Shape (seeds,).
    """
    flat = change.reshape(-1, change.shape[-1])
    finite = np.isfinite(flat)
    counts = finite.sum(axis=0)
    sums = np.where(finite, flat, 0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _effect(change: NDArray[np.float64], subject: str, **names: str) -> Iterator[Effect]:
    """Yield the effect, if it was measured for at least one seed.

    Args:
        change: Differences, of shape (values of each other key, ..., seeds).
        subject: What is compared, in words.
        **names: The effect's other fields.
    """
    by_seed = _over_the_others(change)
    finite = by_seed[np.isfinite(by_seed)]
    if not finite.size:
        return
    effect, (low, high) = float(finite.mean()), _interval(finite)
    measured, what = int(np.isfinite(change).sum()), "seeds" if change.ndim == 1 else "comparisons"
    left_out = f", {measured} of {change.size} {what}" if measured < change.size else ""
    sentence = f"{subject}: {_numbers(effect, low, high, names['response'])}{left_out}"
    yield Effect(effect=effect, low=low, high=high, seeds=finite.size, sentence=sentence, **names)


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95% interval of the mean over seeds by Student's t; a bootstrap of so few values is too narrow."""
    if values.size < 2:
        return np.nan, np.nan
    from scipy.special import stdtrit  # slow to import

    half = float(stdtrit(values.size - 1, 0.975) * values.std(ddof=1) / np.sqrt(values.size))
    return float(values.mean()) - half, float(values.mean()) + half


def _numbers(effect: float, low: float, high: float, response: str) -> str:
    span = "" if low != low else f" [{short(low)}, {short(high)}]"
    name = "" if response == "gradient" else "loss "
    return f"{name}{'+' if effect >= 0 else ''}{short(effect)}{_UNITS[response]}{span}"
