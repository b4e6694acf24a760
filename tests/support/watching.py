"""A small network and a training loop for `gradlab.watch`."""

import pandas as pd
import torch
from torch import nn


def small(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))


def batch(seed=1, n=16):
    numbers = torch.Generator().manual_seed(seed)
    return torch.randn(n, 4, generator=numbers), torch.randint(3, (n,), generator=numbers)


def hooks(model):
    """Return every hook on a model and its parameters."""
    on_modules = [hook for m in model.modules() for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
                  for hook in getattr(m, kind).values()]  # fmt: skip
    return on_modules + [hook for p in model.parameters() for hook in (p._post_accumulate_grad_hooks or {}).values()]


def train(model, probe, *, steps=1, parts=1, clip=None, zero_after=False, passes=None):
    """Train on a batch, in ``parts``, with one update a step."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = batch()
    for _ in range(steps):
        optimizer.zero_grad()
        for inputs, targets in zip(x.chunk(parts), y.chunk(parts), strict=True):
            loss = nn.functional.cross_entropy(model(inputs), targets) / parts
            loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        if zero_after:
            optimizer.zero_grad()
        if probe is not None:
            probe.step()


def rows(folder):
    return pd.read_csv(folder / "gradients.csv")
