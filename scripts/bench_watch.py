"""Cost of `gradlab.watch` in a user's loop: watched steps against bare ones.

Prints, for each network, the median over interleaved rounds of the CPU seconds of (watched step) / (bare step), for
recorded steps and for steps recorded in full. Of a hundred steps with ``every=10`` nine are of the first kind and one
of the second; the last column is their mean over all hundred. The A/A column shows the noise.

    uv run python scripts/bench_watch.py [--rounds 40]
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn

import gradlab


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


class Variant:
    """A network in training, with or without a watcher that records every step."""

    def __init__(self, make: Callable[[], nn.Module], shape: tuple[int, ...], *, full_every: int = 0) -> None:
        torch.manual_seed(0)
        self.model = make()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)
        self.inputs, self.targets = torch.randn(shape), torch.randint(10, shape[:1])
        self.probe = None
        if full_every:
            self.probe = gradlab.watch(self.model, every=1, full_every=full_every, to=tempfile.mkdtemp()).__enter__()
        self.seconds()  # the first step is recorded in full

    def seconds(self) -> float:
        """Return the CPU seconds of a step, which other work on the machine disturbs less than the clock."""
        started = time.process_time()
        self.optimizer.zero_grad()
        nn.functional.cross_entropy(self.model(self.inputs), self.targets).backward()
        self.optimizer.step()
        if self.probe is not None:
            self.probe.step()
        return time.process_time() - started


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--rounds", type=int, default=40, help="rounds per figure")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, Python {platform.python_version()}, one thread, {rounds} rounds")
    print(f"{'network':36}{'ms / step':>10}{'A/A':>8}{'recorded':>10}{'in full':>9}{'every=10':>10}")
    for name, (make, shape) in NETWORKS.items():
        variants = [Variant(make, shape, full_every=full_every) for full_every in (0, 0, 10**9, 1)]
        found = [[variant.seconds() for variant in variants] for _ in range(rounds)]
        same, recorded, full = (statistics.median(row[place] / row[0] for row in found) for place in (1, 2, 3))
        step = 1000 * statistics.median(row[0] for row in found)
        whole = 1 + 0.09 * (recorded - 1) + 0.01 * (full - 1)
        print(f"{name:36}{step:10.1f}{same:8.3f}{recorded:10.3f}{full:9.3f}{whole:10.3f}", flush=True)


if __name__ == "__main__":
    main()
