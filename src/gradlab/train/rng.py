"""Seeds and states of torch's global random generators."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

RandomState = tuple[Tensor, Tensor | None]


def seed_all(seed: int) -> None:
    """Seed the generators of the CPU and of every CUDA device, which are all that ``train.device`` can name.

    ``torch.manual_seed`` also looks for other kinds of device and records a traceback, for more time than building a
    small network takes.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)


def random_state(device: torch.device) -> RandomState:
    """Return the states that a pass on ``device`` may change: of the CPU, and of the device itself if it is CUDA."""
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def set_random_state(state: RandomState) -> None:
    """Restore what `random_state` returned."""
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])


def all_random_states() -> dict[str, Any]:
    """Return the states of all generators, for a checkpoint: ``cpu``, and ``cuda`` with one state for each device."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def set_all_random_states(states: Mapping[str, Any], device: torch.device) -> None:
    """Restore what `all_random_states` returned; the states of CUDA devices only if the run is on one."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
