"""Train a group of runs as one; each run gets the files of a single run."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from gradlab.artifacts.environment import Environment
from gradlab.artifacts.record import RunRecord, clear_run
from gradlab.config.signatures import locate
from gradlab.fused.clipping import RULES
from gradlab.fused.group_size import GroupSize, choose_group_size
from gradlab.fused.grouping import course
from gradlab.fused.loop import FusedLoop
from gradlab.fused.network import UnfusableError, fuse
from gradlab.fused.update import Update
from gradlab.norms import quiet
from gradlab.probe.gauge_batched import BatchedGauge
from gradlab.probe.probe import Probe
from gradlab.run import console
from gradlab.run.assemble import assemble, load
from gradlab.run.session import Session, Start, open_session
from gradlab.train.interrupts import interruptible
from gradlab.train.loop import Loop
from gradlab.train.rng import RandomState, random_state, set_random_state


@dataclass(kw_only=True)
class Member:
    """One run of a group.

    Attributes:
        cfg: Its checked config.
        folder: The folder for its files.
        record: The fields of its run.json so far.
        start: Its plain config and what its folder holds.
        session: Its open files and its loop, after training; None before.
        seconds: Its share of the time that the group took.
    """

    cfg: DictConfig
    folder: Path
    record: RunRecord
    start: Start
    session: Session | None = None
    seconds: float = 0.0


class SharedData:
    """Loads data once for all runs with the same data config."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __call__(self, cfg: DictConfig) -> Any:
        """Return the data of a config, on its device."""
        key = json.dumps([OmegaConf.to_container(cfg.data, resolve=True), cfg.train.device, cfg.train.dtype])
        if key in self._loaded:
            return self._loaded[key]
        before = torch.get_rng_state()
        data = load(cfg)
        if torch.equal(before, torch.get_rng_state()):  # otherwise the data depends on each run's seed
            self._loaded[key] = data
        return data


def train(
    members: Sequence[Member],
    *,
    load: Callable[[DictConfig], Any],
    environment: Callable[..., Environment],
    choose: Callable[[Sequence[Loop]], GroupSize] = choose_group_size,
    keep: Callable[[], None] = lambda: None,
) -> None:
    """Train a group of runs as one, write their tables and checkpoints, and set each member's session.

    Args:
        members: The runs, with one and the same `grouping.program`.
        load: Returns the data of a config.
        environment: As `gradlab.artifacts.environment.describe_environment`.
        choose: Returns how many built runs to train as one.
        keep: Called after long-lived objects were made, as `gradlab.fused.long_lived.uncollected` yields it.

    Raises:
        UnfusableError: They cannot be trained as one, or are faster alone.
        KeyboardInterrupt: Ctrl-C during training; the files are then those of a killed run.
    """
    loops, states = [], []
    for member in members:
        loops.append(assemble(member.cfg, load=load))
        states.append(random_state(loops[-1].device))
        if len(loops) == 1:
            build_loop(members[:1], loops)  # fail fast: try to fuse the first run before the others are built
        keep()
    fuse([loop.model for loop in loops])
    size = choose(loops)
    if size.count == 1:
        raise UnfusableError(f"it is no slower so: {size.reason}")
    described = environment(device=str(loops[0].device), threads=torch.get_num_threads())
    for start in range(0, len(members), size.count):
        part = slice(start, start + size.count)
        _train(members[part], loops[part], states[part], environment=described)


def _train(
    members: Sequence[Member], loops: Sequence[Loop], states: Sequence[RandomState], *, environment: Environment
) -> None:
    """Train built runs as one; ``states`` holds the random state of each run after it was built."""
    began = time.monotonic()
    fused = build_loop(members, loops)
    console.say(f"{len(members)} runs as one: {members[0].folder.name} …")
    sessions = []
    for member, loop in zip(members, loops, strict=True):
        clear_run(member.folder, stale=True)
        parts = (member.cfg, member.folder, member.record, loop)
        sessions.append(open_session(*parts, start=member.start, environment=environment))
    try:
        with quiet(), interruptible(fused.interrupt):
            for step in fused.run():
                session = sessions[step.run]
                session.history.add(step.metrics, step.recording)
                if session.loop.status != "running" and session.cfg.train.checkpoint:
                    set_random_state(states[step.run])
                    session.save(seconds=(time.monotonic() - began) / len(members))
    finally:
        for session in sessions:
            session.history.close()
    for member, session in zip(members, sessions, strict=True):
        member.session, member.seconds = session, (time.monotonic() - began) / len(members)
        member.record["fused"] = len(members)


def build_loop(members: Sequence[Member], loops: Sequence[Loop]) -> FusedLoop:
    """Return the loop that trains built runs as one.

    Raises:
        UnfusableError: They cannot be trained as one.
    """
    cfg = members[0].cfg
    model = fuse([loop.model for loop in loops])
    probe = Probe(model, last=cfg.train.steps - 1, gauge=BatchedGauge(len(loops)), **cfg.probe)
    nodes = [member.start.config["clipping"] for member in members]
    rule = locate(nodes[0]["_target_"], "clipping")
    if rule not in RULES:
        raise UnfusableError(f"{rule.__name__} has no batched version")
    update = Update(loops, [course(member.start.config) for member in members], model)
    thresholds = {
        name: torch.tensor([node[name] for node in nodes], dtype=torch.float64, device=loops[0].device)
        for name in nodes[0]
        if not name.startswith("_")
    }
    return FusedLoop(loops, model=model, probe=probe, update=update, clip=RULES[rule], thresholds=thresholds)
