"""Which runs a remedies sweep consists of: the config as it is, each remedy alone, random pairs, then the best pairs.

The plan is kept in ``remedies.json`` of the sweep's folder, so that everything can be made again from the files.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from gradlab.artifacts.atomic import write_json
from gradlab.config.run_name import run_name
from gradlab.diagnosis.overrides import combined, exclusive
from gradlab.diagnosis.remedies import Remedy

FILE = "remedies.json"
BASE = "as it is"
RANDOM_PAIR = "a random pair"
Kind = Literal["base", "single", "pair", "random"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One line of the table: what is tried, in several runs that differ in their seed.

    Attributes:
        name: Its name.
        kind: ``base`` for the config as it is, ``single`` and ``pair`` for remedies, ``random`` for the random pairs.
        strategy: What kind of remedy it is.
        overrides: What it adds to the command line; empty for random pairs, each of which adds something else.
        reason: Why it may help, in a sentence.
        source: Who published it.
        folders: Names of its runs' folders.
        refused: Why the config cannot take it; then it has no runs.
    """

    name: str
    kind: Kind
    strategy: str = ""
    overrides: tuple[str, ...] = ()
    reason: str = ""
    source: str = ""
    folders: tuple[str, ...] = ()
    refused: str = ""


@dataclass(frozen=True, kw_only=True)
class Command:
    """The command line of a remedies sweep, and what all of its runs add to it.

    Attributes:
        arguments: What the user gave, without the seed.
        seeds: Seeds of the runs of each trial.
        shared: What every run adds, such as ``train.steps=300``.
    """

    arguments: Sequence[str]
    seeds: Sequence[int]
    shared: Sequence[str]

    def run(self, overrides: Sequence[str], seed: int) -> list[str]:
        """Return the command line of one run of a remedy."""
        return [*combined([*self.arguments, *self.shared], overrides), f"seed={seed}"]


Runs = list[list[str]]


def alone(command: Command, remedies: Sequence[Remedy]) -> tuple[list[Trial], Runs]:
    """Return the config as it is and each remedy alone, over all seeds.

    Args:
        command: The command line.
        remedies: The remedies.

    Returns:
        The trials, and the command lines of their runs.
    """
    trials = [Trial(name=BASE, kind="base")]
    trials += [
        Trial(name=one.name, kind="single", strategy=one.strategy, overrides=one.overrides, reason=one.reason,
              source=one.source)
        for one in remedies
    ]  # fmt: skip
    return _with_runs(command, trials)


def best_pairs(command: Command, ranked: Sequence[Remedy], *, count: int) -> tuple[list[Trial], Runs]:
    """Return the most promising pairs of remedies: those whose ranks alone add up to the least.

    Args:
        command: The command line.
        ranked: The remedies that completed, the best first.
        count: How many pairs.
    """
    places = {remedy.name: place for place, remedy in enumerate(ranked)}
    pairs = sorted(_pairs(ranked), key=lambda pair: (sum(places[one.name] for one in pair), places[pair[0].name]))
    trials = [
        Trial(
            name=_both(pair), kind="pair", strategy=" + ".join(one.strategy for one in pair),
            overrides=_overrides(pair), reason="; ".join(one.reason for one in pair),
            source="; ".join(one.source for one in pair),
        )
        for pair in pairs[:count]
    ]  # fmt: skip
    return _with_runs(command, trials)


def random_pairs(command: Command, remedies: Sequence[Remedy], *, count: int) -> tuple[list[Trial], Runs]:
    """Return pairs drawn at random, all in one trial: what a choice without knowledge comes to.

    Args:
        command: The command line; its first seed decides the draw.
        remedies: The remedies to draw from.
        count: How many pairs; each is run once, with the seeds in turn.
    """
    pairs = list(_pairs(remedies))
    if not pairs or not count:
        return [], []
    drawn = random.Random(command.seeds[0]).choices(pairs, k=count)
    seeds = [command.seeds[place % len(command.seeds)] for place in range(count)]
    lines = [command.run(_overrides(pair), seed) for pair, seed in zip(drawn, seeds, strict=True)]
    trial = Trial(name=RANDOM_PAIR, kind="random", strategy="chance", reason="; ".join(map(_both, drawn)),
                  folders=tuple(run_name(line) for line in lines))  # fmt: skip
    return [trial], lines


def write_plan(folder: Path, command: Command, trials: Sequence[Trial]) -> None:
    """Write the plan into a sweep's folder."""
    content = asdict(command) | {"trials": [asdict(trial) for trial in trials]}
    write_json(folder / FILE, content)


def read_plan(folder: Path) -> list[Trial]:
    """Return the trials of a remedies sweep.

    Raises:
        OSError: The folder has no plan.
        ValueError: The plan is broken.
    """
    try:
        content: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return [_trial(written) for written in content["trials"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / FILE}: not the plan of a remedies sweep") from error


def find_plan(runs: Sequence[Path]) -> Path | None:
    """Return the folder of the remedies sweep that all these runs belong to, None where they belong to none."""
    parents = {run.parent for run in runs}
    folder = parents.pop() if len(parents) == 1 else None
    return folder if folder is not None and (folder / FILE).exists() else None


def _trial(written: dict[str, Any]) -> Trial:
    cells: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in written.items()
    }
    return Trial(**cells)


def _with_runs(command: Command, trials: Sequence[Trial]) -> tuple[list[Trial], Runs]:
    lines = [[command.run(trial.overrides, seed) for seed in command.seeds] for trial in trials]
    planned = [
        replace(trial, folders=tuple(run_name(line) for line in own)) for trial, own in zip(trials, lines, strict=True)
    ]
    return planned, [line for own in lines for line in own]


def _pairs(remedies: Sequence[Remedy]) -> list[tuple[Remedy, Remedy]]:
    """Return the pairs of remedies that can be on together and are not two of a kind."""
    return [
        (one, other)
        for one, other in combinations(remedies, 2)
        if one.strategy != other.strategy and not exclusive(one.overrides, other.overrides)
    ]


def _both(pair: tuple[Remedy, Remedy]) -> str:
    return f"{pair[0].name} + {pair[1].name}"


def _overrides(pair: tuple[Remedy, Remedy]) -> tuple[str, ...]:
    return (*pair[0].overrides, *pair[1].overrides)
