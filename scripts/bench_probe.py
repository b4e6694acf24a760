"""Cost of recording: a training step with the probe against the bare loop, and with other tools against it.

Prints, for each network and optimizer, the median over interleaved rounds of (recorded step) / (bare step), where every
step is recorded: with the D columns, with all columns, by other tools, and by the cheapest hooks possible. The A/A row
repeats the bare loop and shows the noise. The last row measures a hundred steps at the default interval. In a round
each variant runs a few steps in a row, as in training, in an order that changes every round. Processor time is
measured, so that other programs matter less. Tools that are not installed are left out:

    uv run --with lightning python scripts/bench_probe.py [--rounds 60]
"""

import argparse
import importlib.metadata
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

import bench_looks
from gradlab.nn import initializers, normalization, residual
from gradlab.nn.mlp import MLP

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "Adam": partial(torch.optim.Adam, lr=1e-3),
    "SGD": partial(torch.optim.SGD, lr=0.01, momentum=0.9),
}
SHAPES = ((20, 256, 128), (50, 64, 64))  # depth, width, batch
IN_A_ROW = 4
INTERVAL = 100  # steps of the default interval measured together: ten recorded, one of them in full


def network(depth: int, width: int) -> MLP:
    """Return a plain relu network with fixed weights."""
    torch.manual_seed(0)
    return MLP(
        input_shape=(width,), outputs=10, depth=depth, width=width, bias=True, block_depth=1,
        activation=nn.ReLU, initializer=initializers.kaiming_normal, normalization=normalization.none,
        residual=residual.none,
    )  # fmt: skip


def make_step(
    shape: tuple[int, int, int], optimizer: str, look: Callable[[MLP], bench_looks.Look]
) -> Callable[[], None]:
    """Return a training step of one copy of the network, recorded by one tool."""
    depth, width, batch = shape
    model = network(depth, width)
    looking = look(model)
    update = OPTIMIZERS[optimizer](model.parameters())
    inputs, targets = torch.randn(batch, width), torch.randint(10, (batch,))

    def step() -> None:
        looking.start()
        update.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        looking.after_backward()
        update.step()
        looking.end()

    return step


def seconds(step: Callable[[], None], *, steps: int) -> float:
    """Return the processor seconds of some steps."""
    started = time.process_time()
    for _ in range(steps):
        step()
    return time.process_time() - started


def ratios(variants: Mapping[str, Callable[[], None]], *, rounds: int, steps: int) -> dict[str, float]:
    """Return the median cost of each variant, divided by that of the first one in the same round."""
    names = list(variants)
    reference = names[0]
    for step in variants.values():
        seconds(step, steps=steps)
    costs: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(rounds):
        names = names[::-1] if turn % 2 else names[1:] + names[:1]
        took = {name: seconds(variants[name], steps=steps) for name in names}
        for name, value in took.items():
            costs[name].append(value / took[reference])
    return {name: statistics.median(values) for name, values in costs.items()}


def installed(looks: Mapping[str, Callable[[MLP], bench_looks.Look]]) -> dict[str, Callable[[MLP], bench_looks.Look]]:
    """Return the installed tools, and print which are missing."""
    there = {}
    for name, look in looks.items():
        try:
            look(network(2, 4))
        except ModuleNotFoundError as error:
            print(f"{name}: left out, {error.name} is not installed")
        else:
            there[name] = look
    return there


def measure(shape: tuple[int, int, int], optimizer: str, theirs: Mapping[str, Any], *, rounds: int) -> dict[str, float]:
    """Return the cost of each tool, by its name."""

    # Each comparison has its own bare loop, so that all networks are equally far in training: denormals are slow.
    def against_bare(looks: Mapping[str, Any], *, rounds: int, steps: int = IN_A_ROW) -> dict[str, float]:
        tools = {"bare": bench_looks.bare, **looks}
        steps_of = {name: make_step(shape, optimizer, look) for name, look in tools.items()}
        return ratios(steps_of, rounds=rounds, steps=steps)

    found = against_bare(bench_looks.OURS, rounds=rounds)
    default = {"gradlab, every=10": partial(bench_looks.probe, every=10, full_every=10)}
    found |= against_bare(default, rounds=max(5, rounds // 6), steps=INTERVAL)
    for name, look in theirs.items():  # one by one, because a slow tool would spoil the caches of the others
        found |= against_bare({name: look}, rounds=max(5, rounds // 4))
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--rounds", type=int, default=60, help=f"rounds of {IN_A_ROW} steps per figure")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    theirs = installed(bench_looks.THEIRS)
    known = {found.name: found.version for found in importlib.metadata.distributions()}
    tools = [f"{name} {known[name]}" for name in ("torch", "lightning", "wandb", "tensorboard") if name in known]
    print(f"{', '.join(tools)}, Python {platform.python_version()}, one thread, {rounds} rounds of {IN_A_ROW} steps")
    cases = [(shape, optimizer) for shape in SHAPES for optimizer in OPTIMIZERS]
    found = {case: measure(*case, theirs, rounds=rounds) for case in cases}
    heads = ["{} x {}, batch {}, {}".format(*shape, optimizer) for shape, optimizer in cases]
    print(f"| {'x the bare step':32} | {' | '.join(heads)} |\n|{'---|' * (1 + len(cases))}")
    for name in [*bench_looks.OURS, "gradlab, every=10", *theirs]:
        cells = (f"{found[case][name]:{len(head)}.2f}" for case, head in zip(cases, heads, strict=True))
        print(f"| {name:32} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
