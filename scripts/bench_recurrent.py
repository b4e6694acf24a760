"""Cost of recording over time: a training step of a recurrent net against that of torch's own module.

Prints, for each cell, the median over interleaved rounds of (step) / (step of torch's module with a linear head): a
step that is not recorded, one recorded with the D columns, and one with all columns. A/A repeats the bare step right
after the others, so it includes the effect of the memory that they leave behind. Processor time is measured, so that
other programs matter less.

    uv run python scripts/bench_recurrent.py [--rounds 30]
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from gradlab.nn import initializers, normalization, residual
from gradlab.nn.recurrent_net import Recurrent
from gradlab.nn.rnn import gru, lstm, rnn
from gradlab.probe.probe import Probe

LENGTH, BATCH, WIDTH, FEATURES = 100, 50, 64, 2
KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "rnn": (rnn, nn.RNN, {"activation": nn.Tanh}),
    "lstm": (lstm, nn.LSTM, {"forget_bias": 1.0, "chrono": False}),
    "gru": (gru, nn.GRU, {"chrono": False}),
}


def network(kind: str) -> Recurrent:
    """Return a plain recurrent net of one layer, with fixed weights."""
    torch.manual_seed(0)
    build, _, own = KINDS[kind]
    return build(
        input_shape=(LENGTH, FEATURES), outputs=1, depth=1, width=WIDTH, bias=True,
        initializer=initializers.xavier_uniform, recurrent_initializer=initializers.orthogonal,
        normalization=normalization.none, residual=residual.none, **own,
    )  # fmt: skip


def variants(kind: str) -> dict[str, Callable[[], None]]:
    """Return one training step each: recorded in full, D columns only, not recorded, and torch's module twice."""
    model, inputs, targets = network(kind), torch.rand(BATCH, LENGTH, FEATURES), torch.rand(BATCH, 1)
    own, head = KINDS[kind][1](FEATURES, WIDTH, batch_first=True), nn.Linear(WIDTH, 1)  # pyright: ignore[reportCallIssue]
    own.load_state_dict(model.stem.weights.state_dict())
    update = torch.optim.Adam(model.parameters(), lr=1e-3)
    bare_update = torch.optim.Adam([*own.parameters(), *head.parameters()], lr=1e-3)
    full, lean = (Probe(model, every=2, full_every=n, last=10**9) for n in (1, 10**9))

    def loss(outputs: torch.Tensor) -> torch.Tensor:
        return nn.functional.mse_loss(outputs, targets)

    def bare() -> None:
        bare_update.zero_grad()
        loss(head(own(inputs)[0][:, -1])).backward()
        bare_update.step()

    def step(probe: Probe, number: int) -> None:
        probe.start(number)
        if probe.recording:
            probe.unroll(inputs, loss)
        value = loss(model(inputs))
        update.zero_grad()
        value.backward()
        probe.after_backward()
        probe.after_clipping()
        update.step()
        probe.after_update()
        probe.take()

    return {
        "all": lambda: step(full, 2),
        "D": lambda: step(lean, 2),
        "A/A": bare,
        "not recorded": lambda: step(lean, 1),
        "bare": bare,
    }


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--rounds", type=int, default=30, help="rounds per figure")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, Python {platform.python_version()}, one thread, {rounds} rounds")
    print(f"T {LENGTH}, batch {BATCH}, width {WIDTH}, Adam")
    print(f"{'cell':8}{'bare, ms':>10}{'A/A':>8}{'not recorded':>14}{'D':>8}{'all':>8}")
    for kind in KINDS:
        steps = variants(kind)
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for number in range(rounds + 1):
            for name, step in steps.items():
                started = time.process_time()
                step()
                if number:  # the first round warms up
                    seconds[name].append(time.process_time() - started)
        median = {name: statistics.median(values) for name, values in seconds.items()}
        ratio = {name: value / median["bare"] for name, value in median.items()}
        cells = f"{ratio['A/A']:8.2f}{ratio['not recorded']:14.2f}{ratio['D']:8.2f}{ratio['all']:8.2f}"
        print(f"{kind:8}{1e3 * median['bare']:10.1f}{cells}")


if __name__ == "__main__":
    main()
