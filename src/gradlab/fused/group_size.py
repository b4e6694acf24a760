"""How many runs to train as one: what fits into memory, and of that what a short measurement finds fastest.

Of widths that are about as fast the widest is taken: what is done once for a group is then done for more runs.
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

_TRIED = (256, 64, 16)
_FEWEST_STEPS = 20  # a shorter training is over before a measurement of it is
_COPIES = 6  # of each parameter: itself, its gradient, two of the optimizer's, two while it is updated
_SHARE = 0.5  # of the free memory
_PASSES = 3
_PLENTY = 0.4  # of the time alone: less is not looked for
_CLOSE = 1.15  # times the fastest: what a few passes cannot tell apart, of which the widest is taken


@dataclass(frozen=True, kw_only=True)
class Width:
    """What was chosen, and why.

    Attributes:
        count: Runs in one program; 1 where they are faster alone.
        reason: The times measured, in words.
    """

    count: int
    reason: str


def choose_width(loops: Sequence[Loop], *, sharing: int = 1) -> Width:
    """Return how many of these runs to train as one; each of them is left as it was.

    Args:
        loops: Built runs of one shape, not begun.
        sharing: How many processes like this one share the memory.
    """
    lead = loops[0]
    if lead.steps < _FEWEST_STEPS:
        return Width(count=len(loops), reason="not measured")
    fitting = int(_SHARE / sharing * free_memory(lead.device) / max(1, bytes_of_run(lead)))
    most = max(1, min(len(loops), fitting))
    with kept_batches(loops):
        alone = _seconds(copy.deepcopy(lead.model), [lead], lead.task.loss)
        times = {1: alone}
        for count in sorted({most, *(each for each in _TRIED if each < most)}, reverse=True):
            if count > 1:
                chosen = loops[:count]
                times[count] = _seconds(fuse([loop.model for loop in chosen]), chosen, _loss_of(lead, count)) / count
            if times[count] < _PLENTY * alone:
                break
    best = max(count for count, seconds in times.items() if seconds <= _CLOSE * min(times.values()))
    words = [f"{seconds * 1e3:.2g} ms {'alone' if count == 1 else f'by {count}'}" for count, seconds in times.items()]
    return Width(count=best, reason=f"a pass of one run takes {', '.join(words)}")


def free_memory(device: torch.device) -> int:
    """Return the bytes that are free on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    if "SC_AVPHYS_PAGES" not in names:
        return 1 << 33  # a system that does not say has, these days, at least that
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def bytes_of_run(loop: Loop) -> int:
    """Return about how many bytes one run needs: copies of its parameters, and what a backward pass needs kept."""
    kept = 0

    def count(x: Tensor) -> Tensor:
        nonlocal kept
        kept += x.numel() * x.element_size()
        return x

    model = copy.deepcopy(loop.model)
    with kept_batches([loop]), torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
        inputs, targets = next(loop.batches)
        loop.task.loss(model(inputs), targets)
    return kept + _COPIES * sum(p.numel() * p.element_size() for p in model.parameters())


@contextmanager
def kept_batches(loops: Sequence[Loop]) -> Iterator[None]:
    """Give the runs' batches back afterwards: none of them counts as drawn."""
    states = [loop.batches.state_dict() for loop in loops]
    try:
        yield
    finally:
        for loop, state in zip(loops, states, strict=True):
            loop.batches.load_state_dict(state)


def _loss_of(loop: Loop, count: int) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda outputs, targets: mean_losses(loop.task, outputs.unflatten(0, (count, -1)), targets).sum()


def _seconds(model: nn.Module, loops: Sequence[Loop], loss: Callable[[Any, Tensor], Tensor]) -> float:
    """Return the fastest of a few forward and backward passes, with the drawing of the batch, in seconds."""
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
