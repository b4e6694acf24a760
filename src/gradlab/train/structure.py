"""Changes of a network during training: layers that are frozen for a time, and layers that are added."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from gradlab.probe.discovery import find_points, layer_names
from gradlab.probe.probe import Probe
from gradlab.train.freeze import Freeze


class Structure:
    """Applies the changes of one run at their steps.

    Args:
        model: The network; one that grows has ``depth`` and ``grow(depth)``.
        optimizer: Its optimizer, which takes over new parameters and keeps the state of the others.
        probe: Its probe, which records new layers too.
        freeze: The layers to freeze, and when.
        grow: Number of hidden layers to grow to, by step.
        make_optimizer: Makes an optimizer like this one for all parameters of the grown model.
        seed: Of the new layers' weights.

    Attributes:
        events: Each growth so far, for run.json.

    Raises:
        ValueError: The model cannot grow, the depths do not rise, or a rule matches no layer.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Optimizer,
        probe: Probe,
        *,
        freeze: Sequence[Freeze],
        grow: Mapping[int, int],
        make_optimizer: Callable[[], Optimizer],
        seed: int,
    ) -> None:
        self._model, self._optimizer, self._probe = model, optimizer, probe
        self._freeze, self._grow = freeze, dict(sorted(grow.items()))
        self._make_optimizer, self._seed = make_optimizer, seed
        self.events: list[dict[str, Any]] = []
        self._holding: list[Freeze] | None = None
        self._frozen: list[nn.Parameter] = []
        if grow:
            self._check_growth()
        for rule in freeze if not grow else ():
            if not rule.chosen(model):
                known = ", ".join(layer_names(model, find_points(model)).values())
                raise ValueError(f"freeze: {list(rule.layers) or rule.depth} matches no layer; there are {known}")

    def grows(self, step: int) -> bool:
        """Whether layers are added before a step."""
        return step in self._grow and all(event["step"] != step for event in self.events)

    def grow(self, step: int) -> dict[str, Any]:
        """Add the layers that are due before a step, and return the event, which the caller completes."""
        event = {"step": step, "depth_before": self._model.depth, "depth": self._grow[step]}
        self._deepen(step)
        self.events.append(event)
        return event

    def hold(self, step: int) -> None:
        """Remove the gradients of frozen layers, so that neither clipping nor the optimizer acts on them."""
        holding = [rule for rule in self._freeze if rule.holds(step)]
        if holding != self._holding:
            self._holding, self._frozen = holding, [p for rule in holding for p in rule.chosen(self._model)]
        for parameter in self._frozen:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return the growth so far."""
        return {"events": [dict(event) for event in self.events]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Repeat the growth of a saved run, so that its parameters can be loaded."""
        self.events = [dict(event) for event in state["events"]]
        for event in self.events:
            self._deepen(event["step"])

    def _deepen(self, step: int) -> None:
        with torch.random.fork_rng():  # a net that grows draws the same random numbers in training as one that does not
            torch.manual_seed(self._seed + step)
            self._model.grow(self._grow[step])
        _take_over(self._optimizer, self._make_optimizer())
        self._probe.find_layers()
        self._holding = None

    def _check_growth(self) -> None:
        depth = getattr(self._model, "depth", None)
        if depth is None or not hasattr(self._model, "grow"):
            raise ValueError(f"grow: a {type(self._model).__name__} cannot grow; mlp and cnn can")
        for step, larger in self._grow.items():
            if larger <= depth:
                raise ValueError(f"grow: {larger} layers at step {step} are no more than the {depth} before")
            depth = larger
        try:
            with torch.random.fork_rng():
                self._model.another_block()  # refuse now, not in the middle of the run
        except ValueError as error:
            raise ValueError(f"grow: {error}") from error


def _take_over(optimizer: Optimizer, grown: Optimizer) -> None:
    """Give an optimizer the parameters of another with the same groups, and keep its options and its state."""
    for group, other in zip(optimizer.param_groups, grown.param_groups, strict=True):
        for parameter in other["params"]:
            # AdaGrad has a state before the first step.
            if parameter in grown.state and parameter not in optimizer.state:
                optimizer.state[parameter] = grown.state[parameter]
        group["params"] = other["params"]
