"""The optimizers and schedules of K runs: their numbers at each step, the update, and the final state of each run.

A run keeps the optimizer and the schedule that were built for it. Runs whose optimizer and schedule have equal configs
share the numbers of the first of them, the leader, and only the leader's schedule is stepped. A schedule that depends
on the loss is stepped in every run.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from gradlab.compat.torch_private import mark_as_stepped
from gradlab.fused.network import UnfusableError
from gradlab.fused.optimizers import RULES, Numbers, State
from gradlab.train.loop import Loop

_COMMON = (bool, str, type(None))


class Update:
    """Updates the stacked parameters of K runs.

    Args:
        loops: The runs.
        keys: A key for each run, equal for equal configs of optimizer and schedule.
        model: The fused network.

    Raises:
        UnfusableError: The optimizer has no batched version, or the runs' optimizers differ in more than numbers.
    """

    def __init__(self, loops: Sequence[Loop], keys: Sequence[str], model: nn.Module) -> None:
        optimizer = loops[0].optimizer
        if type(optimizer) not in RULES:
            raise UnfusableError(f"{type(optimizer).__name__} has no batched version")
        self._rule = RULES[type(optimizer)]
        self._loops = loops
        by_loss = [hasattr(loop.lr_scheduler, "observe") for loop in loops]
        first: dict[Any, int] = {}
        leaders = [first.setdefault((key, run if by_loss[run] else -1), run) for run, key in enumerate(keys)]
        self._leaders = list(dict.fromkeys(leaders))
        self._places = [self._leaders.index(leader) for leader in leaders]
        names = {id(parameter): name for name, parameter in loops[0].model.named_parameters()}
        self._parameters = dict(model.named_parameters())
        self._names = [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups]
        self._options = [
            _common([loop.optimizer for loop in loops], place) for place in range(len(optimizer.param_groups))
        ]
        self._state: dict[str, State] = {name: _stacked(loops, name) for group in self._names for name in group}
        self._values: list[list[dict[str, float]]] = []
        self._numbers: list[Numbers] = []
        self._steps = 0
        self._read()

    @property
    def rates(self) -> list[float]:
        """The learning rate of each run, that of its first parameter group."""
        return [self._values[0][place]["lr"] for place in self._places]

    @torch.no_grad()
    def step(self, losses: Tensor, epoch: float) -> None:
        """Update the parameters by their gradients, then step the schedules.

        Args:
            losses: Loss of each run, [K].
            epoch: Passes over the training set so far.
        """
        self._steps += 1
        for names, numbers, options in zip(self._names, self._numbers, self._options, strict=True):
            for name in names:
                parameter = self._parameters[name]
                if parameter.grad is not None:
                    self._rule(parameter, parameter.grad, self._state[name], numbers, options, self._steps)
        for loop in (self._loops[leader] for leader in self._leaders):
            if loop.status != "running":
                continue
            if self._steps == 1:
                mark_as_stepped(loop.optimizer)
            if (observe := getattr(loop.lr_scheduler, "observe", None)) is not None:
                observe(losses[self._loops.index(loop)], epoch)
            loop.lr_scheduler.step()
        self._read()

    @torch.no_grad()
    def settle(self, run: int) -> None:
        """Give the optimizer and the schedule of a finished run the state of a single run.

        They are not stepped again; if the run was a leader, another run takes its place.
        """
        loop = self._loops[run]
        place = self._places[run]
        led = [i for i, other in enumerate(self._loops) if self._places[i] == place and other.status == "running"]
        if self._leaders[place] != run:
            self._follow(run)
        elif led:
            self._follow(led[0])
            self._leaders[place] = led[0]
        own = dict(loop.model.named_parameters())
        for name, state in self._state.items():
            if self._steps and state:
                counted = {} if type(loop.optimizer) is SGD else {"step": torch.tensor(float(self._steps))}
                loop.optimizer.state[own[name]] = counted | {key: value[run].clone() for key, value in state.items()}

    @torch.no_grad()
    def freeze(self, run: int) -> None:
        """Set the parameters and the optimizer state of a finished run to zero; its place is still computed."""
        for parameter in self._parameters.values():
            parameter[run].zero_()
        for state in self._state.values():
            for value in state.values():
                value[run].zero_()

    def _follow(self, run: int) -> None:
        """Copy the state of the leader's optimizer and schedule to those of a run."""
        loop, leader = self._loops[run], self._loops[self._leaders[self._places[run]]]
        loop.lr_scheduler.load_state_dict(copy.deepcopy(leader.lr_scheduler.state_dict()))
        for own, others in zip(loop.optimizer.param_groups, leader.optimizer.param_groups, strict=True):
            own |= {key: value for key, value in others.items() if key != "params"}

    def _read(self) -> None:
        """Read the numbers of each leader, and pass them to the runs if one has changed."""
        groups = range(len(self._names))
        optimizers = [self._loops[leader].optimizer for leader in self._leaders]
        values = [[_numbers(optimizer, place) for optimizer in optimizers] for place in groups]
        if values == self._values and self._rule is RULES[SGD]:
            return  # other optimizers compute factors from the numbers that change with every step
        self._values = values
        self._numbers = []
        for place in groups:
            table = {
                name: torch.tensor([numbers[name] for numbers in values[place]], dtype=torch.float64)[self._places]
                for name in values[place][0]
            }
            self._numbers.append(Numbers(table, self._parameters[self._names[place][0]]))


def _numbers(optimizer: Optimizer, place: int) -> dict[str, float]:
    """Return the optimizer's numbers of a parameter group by name, without the entries that schedules add."""
    group = {key: optimizer.param_groups[place][key] for key in optimizer.defaults}
    numbers = {key: float(value) for key, value in group.items() if type(value) in (int, float)}
    if "betas" in group:
        numbers |= {"beta1": float(group["betas"][0]), "beta2": float(group["betas"][1])}
    return numbers


def _common(optimizers: Sequence[Optimizer], place: int) -> dict[str, Any]:
    """Return the options of one parameter group that are not numbers; all optimizers must have the same."""
    groups = [{key: optimizer.param_groups[place][key] for key in optimizer.defaults} for optimizer in optimizers]
    options = {key: value for key, value in groups[0].items() if isinstance(value, _COMMON)}
    buffered = groups[0].get("momentum", 0) != 0
    for group in groups:
        if any(group[key] != value for key, value in options.items()) or (group.get("momentum", 0) != 0) != buffered:
            raise UnfusableError("the optimizers differ in more than numbers")
    if options.get("maximize") or options.get("capturable") or options.get("differentiable"):
        raise UnfusableError("the optimizer has an option without a batched version")
    return {"decoupled_weight_decay": False} | options


def _stacked(loops: Sequence[Loop], name: str) -> State:
    """Return an optimizer's state of one parameter before the first step; only AdaGrad has one by then."""
    states = [loop.optimizer.state.get(loop.model.get_parameter(name), {}) for loop in loops]
    return {
        key: torch.stack([state[key] for state in states]).clone()
        for key, value in states[0].items()
        if key != "step" and isinstance(value, Tensor)
    }
