"""Execution of a remedies sweep, independent of how configs are composed and runs are launched."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from gradlab.borders import print_line
from gradlab.config import build
from gradlab.config.schema import Probe, Train
from gradlab.diagnosis.config_facts import Facts, read_facts
from gradlab.diagnosis.remedies import Remedy, applicable
from gradlab.errors import GradlabError, one_line
from gradlab.sweep.remedies import plan
from gradlab.sweep.remedies.outcomes import read_outcomes
from gradlab.sweep.remedies.table import write_tables

Compose = Callable[[Sequence[str]], DictConfig]
Launch = Callable[[Sequence[Sequence[str]]], None]

# Bounds on the optimizer steps of a run, so that a hundred runs take minutes on one core. The unit of cost is one dense
# layer of the default width: a convolution costs about six times as much, a time step of a recurrent layer a quarter.
MOST_STEPS, LEAST_STEPS = 600, 50
_LAYER_STEPS = 9000
_COST = {"mlp": 1.0, "cnn": 6.0, "rnn": 0.25, "lstm": 0.25, "gru": 0.25}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Size of a remedies sweep.

    Attributes:
        seeds: Number of runs of each remedy.
        pairs: Number of best pairs.
        random: Number of runs of random pairs.
        steps: Number of optimizer steps of a run; None for `default_steps`.
    """

    seeds: int
    pairs: int
    random: int
    steps: int | None


def study(arguments: Sequence[str], folder: Path, *, budget: Budget, compose: Compose, launch: Launch) -> None:
    """Run the unchanged config, each remedy alone, random pairs and the best pairs; then write and print the table.

    Args:
        arguments: The user's command line.
        folder: The sweep's folder.
        budget: Size of the sweep.
        compose: Function that composes the config of a command line.
        launch: Function that runs several command lines.

    Raises:
        GradlabError: The unchanged config cannot be run, or does not train.
    """
    facts = _facts(compose(arguments))
    command = _command(arguments, facts, budget)
    fitting: list[Remedy] = []
    refused: list[plan.Trial] = []
    for remedy in applicable(facts):
        reason = _refusal(compose, command.run(remedy.overrides, command.seeds[0]))
        if reason:
            refused.append(plan.Trial(name=remedy.name, kind="single", strategy=remedy.strategy,
                                      overrides=remedy.overrides, source=remedy.source, refused=reason))  # fmt: skip
        else:
            fitting.append(remedy)
    trials, runs = plan.alone(command, fitting)
    drawn, drawn_runs = plan.random_pairs(command, fitting, count=budget.random)
    _do([*trials, *drawn, *refused], [*runs, *drawn_runs], folder, command, launch)
    singles = [item for item in read_outcomes(folder, trials) if item.completed and item.trial.kind == "single"]
    best = [item.trial.name for item in singles]
    ranked = sorted((remedy for remedy in fitting if remedy.name in best), key=lambda remedy: best.index(remedy.name))
    pairs, pair_runs = plan.best_pairs(command, ranked, count=budget.pairs)
    _do([*trials, *pairs, *drawn, *refused], pair_runs, folder, command, launch)
    print_line(write_tables(folder, read_outcomes(folder, plan.read_plan(folder))))


def default_steps(facts: Facts) -> int:
    """Return the default number of optimizer steps of each run, which is smaller for a larger net."""
    layers = max(1, facts.depth) * (facts.time_steps if facts.recurrent else 1)
    steps = _LAYER_STEPS / (layers * _COST.get(facts.model, 1.0))
    return int(min(MOST_STEPS, max(LEAST_STEPS, steps // 10 * 10)))


def _command(arguments: Sequence[str], facts: Facts, budget: Budget) -> plan.Command:
    """Return the command line, with equal steps, less recording, and evaluation only at the first and last step."""
    if facts.values.get("train.measure_only") or facts.values.get("train.lr_range"):
        raise GradlabError("hydra/sweeper=remedies ranks by the loss after training, and this config does not train")
    keys = {text.partition("=")[0] for text in arguments}
    values, defaults = facts.values, Train()
    chosen = values["train.steps"] != defaults.steps or "train.steps" in keys
    steps = values["train.steps"] if chosen else budget.steps or default_steps(facts)
    shared = [] if chosen else [f"train.steps={steps}"]
    if values["train.eval_every"] == defaults.eval_every and "train.eval_every" not in keys:
        shared.append(f"train.eval_every={steps}")
    if values["probe.every"] == Probe().every and "probe.every" not in keys:
        shared.append(f"probe.every={max(5, steps // 30)}")
    if not {"train.checkpoint", "train.checkpoint_every"} & keys:
        shared.append("train.checkpoint=false")
    seed = int(values["seed"])
    return plan.Command(
        arguments=[text for text in arguments if not text.startswith("seed=")],
        seeds=list(range(seed, seed + budget.seeds)),
        shared=shared,
    )


def _facts(cfg: DictConfig) -> Facts:
    choices = cfg.hydra.runtime.choices
    run = _without_hydra(cfg)
    build.check(run)
    return read_facts(cast(dict[str, Any], OmegaConf.to_container(run, resolve=True)), choices)


def _without_hydra(cfg: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


def _refusal(compose: Compose, line: Sequence[str]) -> str:
    """Return why a config with a remedy cannot be run; "" if it can."""
    try:
        build.check(_without_hydra(compose(line)))
    except Exception as error:  # Hydra and the parts raise many types
        return one_line(error)
    return ""


def _do(trials: Sequence[plan.Trial], runs: plan.Runs, folder: Path, command: plan.Command, launch: Launch) -> None:
    # Write the plan before the runs, so that an interrupted sweep has a table of the finished ones.
    plan.write_plan(folder, command, trials)
    if runs:
        launch(runs)
