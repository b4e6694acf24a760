"""What each choice does in a full grid: alone, on average, and in pairs, on the gradient and on the loss.

Runs are compared in pairs that differ in one key only, seed included, so that what a seed does to both cancels.
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
from gradlab.view.format import short
from gradlab.view.sweeps import Sweep

FILE = "effects.csv"
_NEUTRAL = "none"
_UNITS = {"gradient": " decades", "loss": ""}


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a choice, or a pair of them, does.

    Attributes:
        response: ``gradient``: decades by which the gradient ratio at step 0 comes nearer to 1, so that more is
            better; ``loss``: change of the test loss (training loss, where none was measured) at the end.
        kind: ``alone``: the other keys at their first values; ``average``: over all values of the others; ``pair``:
            what two choices do together beyond the sum of what each does, over all values of the others.
        key: The override's key.
        value: Its value.
        against: The value it is compared with: ``none`` if that is among them, else the first.
        other_key: Of a pair, the other override's key.
        other_value: Its value.
        other_against: The value it is compared with.
        effect: Mean over the seeds.
        low: Lower end of the 95% interval of that mean, by Student's t over the seeds; nan for one seed.
        high: Its upper end.
        seeds: Number of seeds in which it could be measured.
        sentence: All that in words.
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
    """Return the effects of a full grid; none where the sweep is not one: a combination is missing or comes twice.

    A comparison with a ratio of 0 or infinity or a loss that is not finite is left out.
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
    found = []
    for response, values in _responses(sweep.table).items():
        grid = np.full(shape, np.nan)
        grid[tuple(places)] = values
        if np.isfinite(grid).any():
            found += [*_singles(response, grid, levels), *_pairs(response, grid, levels)]
    return found


def write_effects(folder: Path, effects: Sequence[Effect]) -> None:
    """Write ``effects.csv``; without any effects none is there."""
    if not effects:
        (folder / FILE).unlink(missing_ok=True)
        return
    names = [item.name for item in fields(Effect)]
    with replacing(folder / FILE) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for effect in effects:
            cells = [getattr(effect, name) for name in names]
            writer.writerow(["" if cell != cell else cell for cell in cells])


def _responses(table: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    ratio = table["gradient_ratio_initial"]
    if "time_gradient_ratio_initial" in table:
        ratio = table["time_gradient_ratio_initial"].fillna(ratio)
    loss = table["eval_loss"].fillna(table["train_loss"]).where(table["status"] == "completed")
    with np.errstate(all="ignore"):
        distance = -np.abs(np.log10(ratio.to_numpy(dtype=float)))
    return {"gradient": np.where(np.isfinite(distance), distance, np.nan), "loss": loss.to_numpy(dtype=float)}


def _levels(cells: pd.Series) -> list[str]:
    """Return the values of a key, the one that others are compared with first."""
    values = list(dict.fromkeys(cells))
    return sorted(values, key=lambda value: value != _NEUTRAL)


def _singles(response: str, grid: NDArray[np.float64], levels: Mapping[str, Sequence[str]]) -> Iterator[Effect]:
    for axis, (key, values) in enumerate(levels.items()):
        for place, value in enumerate(values[1:], start=1):
            change = np.take(grid, place, axis) - np.take(grid, 0, axis)
            kinds = {"alone": change[(0,) * (change.ndim - 1)]}
            kinds |= {"average": _over_the_others(change)} if len(levels) > 1 else {}
            for kind, by_seed in kinds.items():
                yield from _effect(by_seed, response=response, kind=kind, key=key, value=value, against=values[0])


def _pairs(response: str, grid: NDArray[np.float64], levels: Mapping[str, Sequence[str]]) -> Iterator[Effect]:
    for (first, (key, values)), (second, (other, others)) in combinations(enumerate(levels.items()), 2):
        for place, value in enumerate(values[1:], start=1):
            change = np.take(grid, place, first) - np.take(grid, 0, first)
            for spot, choice in enumerate(others[1:], start=1):
                # the axis of the first key is gone
                beyond = np.take(change, spot, second - 1) - np.take(change, 0, second - 1)
                yield from _effect(
                    _over_the_others(beyond), response=response, kind="pair", key=key, value=value, against=values[0],
                    other_key=other, other_value=choice, other_against=others[0],
                )  # fmt: skip


def _over_the_others(change: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each seed over all settings of the other keys that could be compared; nan without any."""
    flat = change.reshape(-1, change.shape[-1])
    known = np.isfinite(flat)
    counts = known.sum(axis=0)
    sums = np.where(known, flat, 0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _effect(by_seed: NDArray[np.float64], **names: str) -> Iterator[Effect]:
    """Yield the effect, if it was measured with a seed at least."""
    known = by_seed[np.isfinite(by_seed)]
    if not known.size:
        return
    effect, (low, high) = float(known.mean()), _interval(known)
    sentence = _sentence(effect, low, high, names)
    yield Effect(effect=effect, low=low, high=high, seeds=known.size, sentence=sentence, **names)


def _interval(known: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95% interval of the mean over seeds by Student's t; a bootstrap of so few values is too narrow."""
    if known.size < 2:
        return np.nan, np.nan
    from scipy.special import stdtrit  # slow to import

    half = float(stdtrit(known.size - 1, 0.975) * known.std(ddof=1) / np.sqrt(known.size))
    return float(known.mean()) - half, float(known.mean()) + half


def _sentence(effect: float, low: float, high: float, names: Mapping[str, str]) -> str:
    what = _choice(names["key"], names["value"])
    if names["kind"] == "pair":
        what = f"{what} with {_choice(names['other_key'], names['other_value'])}, beyond the sum of both"
    else:
        what = f"{what} {'alone' if names['kind'] == 'alone' else 'on average'}"
    span = "" if low != low else f" [{short(low)}, {short(high)}]"
    response = "" if names["response"] == "gradient" else "loss "
    return f"{what}: {response}{'+' if effect >= 0 else ''}{short(effect)}{_UNITS[names['response']]}{span}"


def _choice(key: str, value: str) -> str:
    return value if value and not value[0].isdigit() and "." not in key else f"{key}={value}"
