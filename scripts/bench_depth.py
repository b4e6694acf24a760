"""Cost of depth: seconds and peak memory of a recorded step against the number of layers, which should be linear.

Each figure is measured in a fresh process with one thread. Times are the median processor seconds of a bare step and of
one with all D columns. Memory is the increase of the peak resident memory over that of a network of two layers. The
exponents are those of a power law fitted to the depths from 1000 on, because the memory of a few hundred layers is too
small to measure.

    uv run python scripts/bench_depth.py [--depths 10,100,1000,3000,10000]
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from gradlab.nn import initializers, normalization, residual
from gradlab.nn.cnn import CNN
from gradlab.nn.mlp import MLP
from gradlab.nn.network import Network
from gradlab.probe.probe import Probe


def mlp(depth: int) -> tuple[Network, Tensor]:
    """Return a tanh MLP of width 32 and a batch of 32."""
    return MLP(
        input_shape=(32,), outputs=10, depth=depth, width=32, bias=True, block_depth=1, activation=nn.Tanh,
        initializer=initializers.orthogonal, normalization=normalization.none, residual=residual.none,
    ), torch.randn(32, 32)  # fmt: skip


def cnn(depth: int) -> tuple[Network, Tensor]:
    """Return the delta-orthogonal tanh CNN of Xiao et al. 2018, 8 channels wide, and a batch of 8 images."""
    return CNN(
        input_shape=(1, 8, 8), outputs=10, depth=depth, width=8, kernel_size=3, stages=1, block_depth=1, bias=True,
        padding_mode="circular", shortcut="zero_pad", activation=nn.Tanh, initializer=initializers.delta_orthogonal,
        normalization=normalization.none, residual=residual.none,
    ), torch.randn(8, 1, 8, 8)  # fmt: skip


NETWORKS: dict[str, Callable[[int], tuple[Network, Tensor]]] = {"mlp": mlp, "cnn": cnn}


def resident() -> int:
    """Return the peak resident memory of the process so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def train(kind: str, depth: int, *, recorded: bool) -> float:
    """Return the median processor seconds of a few training steps."""
    torch.manual_seed(0)
    model, inputs = NETWORKS[kind](depth)
    targets = torch.randint(10, inputs.shape[:1])
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    probe = Probe(model, every=int(recorded), full_every=10**9, last=10**9)
    took = []
    for step in range(1, 3 + max(3, 1000 // depth)):
        started = time.process_time()
        probe.start(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        probe.after_backward()
        optimizer.step()
        probe.after_update()
        probe.take()
        took.append(time.process_time() - started)
    return statistics.median(took[2:])


def measure(kind: str, depth: int, *, recorded: bool) -> dict[str, float]:
    """Return the seconds of a step, and the increase of the process's peak memory by the training, in bytes."""
    torch.set_num_threads(1)
    train(kind, 2, recorded=recorded)  # warm up the libraries
    before = resident()
    return {"seconds": train(kind, depth, recorded=recorded), "bytes": resident() - before}


def apart(kind: str, depth: int, *, recorded: bool) -> dict[str, float]:
    """Return the result of `measure` in a fresh process."""
    task = json.dumps({"kind": kind, "depth": depth, "recorded": recorded})
    command = [sys.executable, __file__, "--task", task]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def exponent(depths: list[int], values: list[float]) -> float:
    """Return the exponent p of ``value = c * depth^p``, fitted by least squares in logarithms."""
    return float(np.polyfit(np.log(depths), np.log(values), 1)[0])


def main() -> None:
    """Measure and print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--depths", default="10,100,1000,3000,10000", help="separated by commas")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="separated by commas")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        print(json.dumps(measure(**json.loads(arguments.task))))
        return
    depths = [int(depth) for depth in arguments.depths.split(",")]
    print(f"torch {torch.__version__}, Python {platform.python_version()}, one thread")
    for kind in arguments.networks.split(","):
        print(f"\n| {kind} | us / layer, bare | recorded | KiB / layer, bare | recorded |\n|---|---|---|---|---|")
        found = [[apart(kind, depth, recorded=recorded) for recorded in (False, True)] for depth in depths]
        for depth, pair in zip(depths, found, strict=True):
            times = " | ".join(f"{1e6 * each['seconds'] / depth:.0f}" for each in pair)
            sizes = " | ".join(f"{each['bytes'] / depth / 1024:.1f}" for each in pair)
            print(f"| {depth} | {times} | {sizes} |")
        deep = [place for place, depth in enumerate(depths) if depth >= 1000]
        if len(deep) > 1:
            cells = [
                f"{exponent([depths[i] for i in deep], [found[i][recorded][unit] for i in deep]):.2f}"
                for unit in ("seconds", "bytes")
                for recorded in (0, 1)
            ]
            print(f"| exponent | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
