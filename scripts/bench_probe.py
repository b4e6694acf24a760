"""What looking costs: a training step with the probe against the bare loop.

Prints, for each network and optimizer, the median over interleaved rounds of (step with the probe) / (bare step):
the D columns at every step, the F columns at every step, the default interval, and the naive way (hooks that call
``.item()`` on norm, mean, standard deviation and share of zeros). The A/A column shows the noise of the measurement.
Rows are written to a CSV every 50 recorded steps, as in a run: the interval pays for that, a median step does not.

    uv run python scripts/bench_probe.py [--rounds 300]
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gradlab.history import FLUSH
from gradlab.nn import initializers, normalization, residual
from gradlab.nn.mlp import MLP
from gradlab.probe.columns import COLUMNS
from gradlab.probe.probe import Probe, Row
from gradlab.runs import Table

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "Adam": partial(torch.optim.Adam, lr=1e-3),
    "SGD": partial(torch.optim.SGD, lr=0.01, momentum=0.9),
}
SHAPES = ((20, 256, 128), (50, 64, 64))  # depth, width, batch
INTERVAL = 100  # steps of the default interval measured together: ten recorded, one of them in full


@dataclass
class Arm:
    """One copy of the network with its own way of being looked at."""

    step: Callable[[], None]
    steps: int = 1

    def seconds(self) -> float:
        """Time the arm's steps once."""
        started = time.perf_counter()
        for _ in range(self.steps):
            self.step()
        return time.perf_counter() - started


def network(depth: int, width: int) -> MLP:
    """Return a plain relu network, the same each time."""
    torch.manual_seed(0)
    return MLP(
        input_shape=(width,), outputs=10, depth=depth, width=width, bias=True, block_depth=1,
        activation=nn.ReLU, initializer=initializers.kaiming_normal, normalization=normalization.none,
        residual=residual.none,
    )  # fmt: skip


def arm(
    shape: tuple[int, int, int],
    optimizer: str,
    *,
    probe: dict[str, int] | None = None,
    naive: bool = False,
    steps: int = 1,
) -> Arm:
    """Return an arm: bare, with the probe (writing its rows to a CSV, as a run does), or with naive hooks."""
    depth, width, batch = shape
    model = network(depth, width)
    update = OPTIMIZERS[optimizer](model.parameters())
    inputs, targets = torch.randn(batch, width), torch.randint(10, (batch,))

    def forward_backward() -> None:
        update.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()

    def bare() -> None:
        forward_backward()
        update.step()

    if naive:
        log: list[list[float]] = []
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.ReLU):
                module.register_forward_hook(partial(_naive_hook, log=log))
        return Arm(bare, steps)
    if probe is None:
        return Arm(bare, steps)

    looking = Probe(model, last=10**9, every=probe["every"], full_every=probe["full_every"])
    table = Table(Path(tempfile.mkdtemp()) / "gradients.csv", COLUMNS)
    waiting: list[Row] = []
    counter = iter(range(1, 10**9))  # from 1: step 0 would be recorded in full

    def looked_at() -> None:
        looking.start(next(counter))
        forward_backward()
        looking.after_backward()
        looking.after_clipping()
        update.step()
        looking.after_update()
        waiting.extend(looking.take())
        if len(waiting) > FLUSH * len(model.blocks):
            table.write(waiting)
            waiting.clear()

    return Arm(looked_at, steps)


def _naive_hook(module: nn.Module, args: Any, output: Tensor, *, log: list[list[float]]) -> None:
    def note(x: Tensor) -> None:
        log.append([x.norm().item(), x.mean().item(), x.std().item(), (x == 0).float().mean().item()])

    note(output.detach())
    output.register_hook(note)
    log.clear()


def ratios(arms: dict[str, Arm], *, rounds: int) -> dict[str, float]:
    """Return each arm's median cost over the bare one of the same round; every arm runs once a round, in turn."""
    for each in arms.values():
        each.seconds()
    found: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        seconds = {name: each.seconds() for name, each in arms.items()}
        for name, value in seconds.items():
            found[name].append(value / seconds["bare"])
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--rounds", type=int, default=300, help="rounds per figure")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, Python {platform.python_version()}, one thread, {rounds} rounds")
    print(f"{'network':28}{'A/A':>8}{'D':>8}{'F':>8}{'default':>9}{'naive':>8}")
    for shape in SHAPES:
        for optimizer in OPTIMIZERS:
            step = ratios(
                {
                    "bare": arm(shape, optimizer),
                    "A/A": arm(shape, optimizer),
                    "D": arm(shape, optimizer, probe={"every": 1, "full_every": 10**9}),
                    "F": arm(shape, optimizer, probe={"every": 1, "full_every": 1}),
                    "naive": arm(shape, optimizer, naive=True),
                },
                rounds=rounds,
            )
            interval = ratios(
                {
                    "bare": arm(shape, optimizer, steps=INTERVAL),
                    "default": arm(shape, optimizer, probe={"every": 10, "full_every": 10}, steps=INTERVAL),
                },
                rounds=max(5, rounds // 20),
            )
            name = "{} x {}, batch {}, {}".format(*shape, optimizer)
            figures = (step["A/A"], step["D"], step["F"])
            cells = "".join(f"{value:8.3f}" for value in figures) + f"{interval['default']:9.3f}{step['naive']:8.3f}"
            print(f"{name:28}{cells}")


if __name__ == "__main__":
    main()
