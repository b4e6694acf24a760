"""What `gradlab.watch` costs in somebody's own loop: hundred watched steps against hundred bare ones.

Prints, for each network, the median over interleaved rounds of (steps inside ``gradlab.watch(every=10)``) / (bare
steps). A round of hundred steps holds ten recorded ones, of which one is recorded in full, as in a long training. The
A/A column shows the noise of the measurement.

    uv run python scripts/bench_watch.py [--rounds 7]
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torchvision
from torch import Tensor, nn

import gradlab

STEPS = 100


class Encoder(nn.Module):
    """Six layers of `nn.TransformerEncoder`, a mean over time, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(128, 4, 512, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 6), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, T, 128] to logits [n, 10]."""
        return self.head(self.encoder(x).mean(1))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet18, 16 x 3 x 32 x 32": (lambda: torchvision.models.resnet18(num_classes=10), (16, 3, 32, 32)),
    "resnet18, 4 x 3 x 96 x 96": (lambda: torchvision.models.resnet18(num_classes=10), (4, 3, 96, 96)),
    "TransformerEncoder, 16 x 32 x 128": (Encoder, (16, 32, 128)),
}


class Arm:
    """A network in training, with or without somebody who watches."""

    def __init__(self, make: Callable[[], nn.Module], shape: tuple[int, ...], *, watched: bool) -> None:
        torch.manual_seed(0)
        self.model = make()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)
        self.inputs, self.targets = torch.randn(shape), torch.randint(10, shape[:1])
        self.folder = tempfile.mkdtemp() if watched else None
        self.round = 0

    def seconds(self) -> float:
        """Return the CPU seconds of a round, which other work on the machine disturbs less than the clock."""
        self.round += 1
        context = (
            gradlab.watch(self.model, every=10, to=f"{self.folder}/{self.round}") if self.folder else nullcontext()
        )
        with context as probe:
            started = time.process_time()
            for _ in range(STEPS):
                self.optimizer.zero_grad()
                nn.functional.cross_entropy(self.model(self.inputs), self.targets).backward()
                self.optimizer.step()
                if probe is not None:
                    probe.step()
            return time.process_time() - started


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--rounds", type=int, default=7, help="rounds per figure")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(
        f"torch {torch.__version__}, Python {platform.python_version()}, one thread, {rounds} rounds of {STEPS} steps"
    )
    print(f"{'network':36}{'ms / step':>10}{'A/A':>8}{'watched':>9}")
    for name, (make, shape) in NETWORKS.items():
        bare, again, watched = (Arm(make, shape, watched=kind) for kind in (False, False, True))
        found = [[each.seconds() for each in (bare, again, watched)] for _ in range(rounds)]
        same, cost = (statistics.median(row[place] / row[0] for row in found) for place in (1, 2))
        step = 1000 * statistics.median(row[0] for row in found) / STEPS
        print(f"{name:36}{step:10.1f}{same:8.3f}{cost:9.3f}", flush=True)


if __name__ == "__main__":
    main()
