"""Plan of a remedies sweep: the unchanged config, each remedy alone, random pairs, and the best pairs.

The plan is saved as ``remedies.json`` in the sweep's folder, so that the tables can be rebuilt from the files.
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
    """Set of overrides to try, in several runs that differ in their seed.

    Attributes:
        name: Name in the table.
        kind: ``base`` for the unchanged config, ``single`` and ``pair`` for remedies, ``random`` for the random pairs.
        strategy: Kind of remedy; two of one kind are not combined.
        overrides: Overrides to add to the command line; empty for random pairs, each of which has its own.
        reason: Why the remedy may help, in a sentence.
        source: Publication of the remedy.
        folders: Names of the folders of its runs.
        refused: Why the config does not accept the remedy, which then has no runs; empty if it does.
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
    """Command line of a remedies sweep, and the overrides that all of its runs share.

    Attributes:
        arguments: The user's arguments, without the seed.
        seeds: Seeds of the runs of each trial.
        shared: Overrides that every run adds, such as ``train.steps=300``.
    """

    arguments: Sequence[str]
    seeds: Sequence[int]
    shared: Sequence[str]

    def run(self, overrides: Sequence[str], seed: int) -> list[str]:
        """Return the command line of one run of a remedy."""
        return [*combined([*self.arguments, *self.shared], overrides), f"seed={seed}"]


Runs = list[list[str]]


def alone(command: Command, remedies: Sequence[Remedy]) -> tuple[list[Trial], Runs]:
    """Return the trials of the unchanged config and of each remedy alone, over all seeds.

    Args:
        command: The command line.
        remedies: The remedies.

    Returns:
        The trials, and the command lines of their runs.
    """
    trials = [Trial(name=BASE, kind="base")]
    trials += [
        Trial(name=remedy.name, kind="single", strategy=remedy.strategy, overrides=remedy.overrides,
              reason=remedy.reason, source=remedy.source)
        for remedy in remedies
    ]  # fmt: skip
    return _with_runs(command, trials)


def best_pairs(command: Command, ranked: Sequence[Remedy], *, count: int) -> tuple[list[Trial], Runs]:
    """Return the pairs of remedies with the smallest sums of single ranks.

    Args:
        command: The command line.
        ranked: The remedies that completed, from the best to the worst.
        count: Number of pairs.

    Returns:
        The trials, and the command lines of their runs.
    """
    places = {remedy.name: place for place, remedy in enumerate(ranked)}
    pairs = sorted(_pairs(ranked), key=lambda pair: (sum(places[remedy.name] for remedy in pair), places[pair[0].name]))
    trials = [
        Trial(
            name=_both(pair), kind="pair", strategy=" + ".join(remedy.strategy for remedy in pair),
            overrides=_overrides(pair), reason="; ".join(remedy.reason for remedy in pair),
            source="; ".join(remedy.source for remedy in pair),
        )
        for pair in pairs[:count]
    ]  # fmt: skip
    return _with_runs(command, trials)


def random_pairs(command: Command, remedies: Sequence[Remedy], *, count: int) -> tuple[list[Trial], Runs]:
    """Return one trial of randomly drawn pairs, the baseline for the choice of the best pairs.

    Args:
        command: The command line; its first seed determines the draw.
        remedies: The remedies to draw from.
        count: Number of pairs; each is run once, with the seeds in turn.

    Returns:
        The trial, and the command lines of its runs; both are empty if there are no pairs.
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
        return [_trial(entry) for entry in content["trials"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / FILE}: not the plan of a remedies sweep") from error


def find_plan(runs: Sequence[Path]) -> Path | None:
    """Return the folder of the remedies sweep to which all runs belong; None if there is no such sweep."""
    parents = {run.parent for run in runs}
    folder = parents.pop() if len(parents) == 1 else None
    return folder if folder is not None and (folder / FILE).exists() else None


def _trial(entry: dict[str, Any]) -> Trial:
    cells: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    return Trial(**cells)


def _with_runs(command: Command, trials: Sequence[Trial]) -> tuple[list[Trial], Runs]:
    lines = [[command.run(trial.overrides, seed) for seed in command.seeds] for trial in trials]
    planned = [
        replace(trial, folders=tuple(run_name(line) for line in runs))
        for trial, runs in zip(trials, lines, strict=True)
    ]
    return planned, [line for runs in lines for line in runs]


def _pairs(remedies: Sequence[Remedy]) -> list[tuple[Remedy, Remedy]]:
    """Return the pairs of remedies that are compatible and of different strategies."""
    return [
        (first, second)
        for first, second in combinations(remedies, 2)
        if first.strategy != second.strategy and not exclusive(first.overrides, second.overrides)
    ]


def _both(pair: tuple[Remedy, Remedy]) -> str:
    return f"{pair[0].name} + {pair[1].name}"


def _overrides(pair: tuple[Remedy, Remedy]) -> tuple[str, ...]:
    return (*pair[0].overrides, *pair[1].overrides)
