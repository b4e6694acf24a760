"""How many runs to train as one: as many as fit into memory, and of those what a short measurement finds fastest.

Among sizes that are about as fast the largest is chosen, because fixed costs of a group are then shared by more runs.
"""

import copy
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradlab.data.together import Together
from gradlab.fused.losses import mean_losses
from gradlab.fused.network import fuse
from gradlab.train.loop import Loop

_SIZES = (256, 64, 16)  # the sizes that are measured, beside the largest that fits
_FEWEST_STEPS = 20  # a shorter training takes no longer than measuring it
_COPIES = 6  # of each parameter: itself, its gradient, two in the optimizer's state, two during the update
_SHARE = 0.5  # the share of free memory that one group may take
_PASSES = 3
_FAST_ENOUGH = 0.4  # stop searching once a run takes less than this share of its time alone
_CLOSE = 1.15  # a few passes cannot distinguish times within this factor of the fastest


@dataclass(frozen=True, kw_only=True)
class GroupSize:
    """The chosen number of runs.

    Attributes:
        count: Runs in one program; 1 if runs are faster alone.
        reason: The measured times, for a message.
    """

    count: int
    reason: str


def choose_group_size(loops: Sequence[Loop], *, sharing: int = 1) -> GroupSize:
    """Return how many of these runs to train as one; the runs themselves are unchanged.

    Args:
        loops: Built runs of one shape, before their first step.
        sharing: Number of processes like this one that share the memory.
    """
    lead = loops[0]
    if lead.steps < _FEWEST_STEPS:
        return GroupSize(count=len(loops), reason="not measured")
    fitting = int(_SHARE / sharing * free_memory(lead.device) / max(1, bytes_of_run(lead)))
    most = max(1, min(len(loops), fitting))
    with kept_batches(loops):
        alone = _seconds(copy.deepcopy(lead.model), [lead], lead.task.loss)
        times = {1: alone}
        for count in sorted({most, *(size for size in _SIZES if size < most)}, reverse=True):
            if count > 1:
                chosen = loops[:count]
                times[count] = _seconds(fuse([loop.model for loop in chosen]), chosen, _loss_of(lead, count)) / count
            if times[count] < _FAST_ENOUGH * alone:
                break
    best = max(count for count, seconds in times.items() if seconds <= _CLOSE * min(times.values()))
    words = [f"{seconds * 1e3:.2g} ms {'alone' if count == 1 else f'by {count}'}" for count, seconds in times.items()]
    return GroupSize(count=best, reason=f"a pass of one run takes {', '.join(words)}")


def free_memory(device: torch.device) -> int:
    """Return the number of free bytes on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    if "SC_AVPHYS_PAGES" not in names:
        return 1 << 33  # macOS and Windows do not report it; 8 GiB is a cautious guess
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def bytes_of_run(loop: Loop) -> int:
    """Return an estimate of the bytes that a run needs, for copies of its parameters and tensors saved for backward."""
    saved = 0

    def count(x: Tensor) -> Tensor:
        nonlocal saved
        saved += x.numel() * x.element_size()
        return x

    model = copy.deepcopy(loop.model)
    with kept_batches([loop]), torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
        inputs, targets = next(loop.batches)
        loop.task.loss(model(inputs), targets)
    return saved + _COPIES * sum(p.numel() * p.element_size() for p in model.parameters())


@contextmanager
def kept_batches(loops: Sequence[Loop]) -> Iterator[None]:
    """Rewind the runs' batches at the end of the block, so that none counts as drawn."""
    states = [loop.batches.state_dict() for loop in loops]
    try:
        yield
    finally:
        for loop, state in zip(loops, states, strict=True):
            loop.batches.load_state_dict(state)


def _loss_of(loop: Loop, count: int) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda outputs, targets: mean_losses(loop.task, outputs.unflatten(0, (count, -1)), targets).sum()


def _seconds(model: nn.Module, loops: Sequence[Loop], loss: Callable[[Any, Tensor], Tensor]) -> float:
    """Return the time of the fastest of a few forward and backward passes with their batches, in seconds."""
    model.train()
    batches = Together([loop.batches for loop in loops])
    device = loops[0].device
    times = []
    for _ in range(1 + _PASSES):  # the first warms up
        began = time.perf_counter()
        inputs, targets = batches.next()
        loss(model(inputs), targets if len(loops) > 1 else targets[0]).backward()
        model.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return min(times[1:])
