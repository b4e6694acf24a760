"""A group of runs from built parts to trained ones, each with the files of a run alone."""

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
from gradlab.fused.group_size import Width, choose_width
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
        cfg: Its config, checked.
        folder: Where its files go.
        record: What is known of it so far.
        start: The same config in other forms.
        session: Once it is trained, the run on its way to its run.json.
        seconds: Its share of the time that the group took.
    """

    cfg: DictConfig
    folder: Path
    record: RunRecord
    start: Start
    session: Session | None = None
    seconds: float = 0.0


class Shared:
    """Loads data once for all runs that describe it by the same words."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __call__(self, cfg: DictConfig) -> Any:
        """Return the data of a config, on its device."""
        key = json.dumps([OmegaConf.to_container(cfg.data, resolve=True), cfg.train.device, cfg.train.dtype])
        if key in self._known:
            return self._known[key]
        before = torch.get_rng_state()
        data = load(cfg)
        if torch.equal(before, torch.get_rng_state()):  # else each run has to draw its own, for its seed's sake
            self._known[key] = data
        return data


def train(
    members: Sequence[Member],
    *,
    load: Callable[[DictConfig], Any],
    environment: Callable[..., Environment],
    choose: Callable[[Sequence[Loop]], Width] = choose_width,
    keep: Callable[[], None] = lambda: None,
) -> None:
    """Train a group of runs as one and write their tables and checkpoints; each member then has its session.

    Args:
        members: The runs, whose `groups.program` is the same.
        load: Returns the data of a config.
        environment: Returns what `runs.environment` says.
        choose: Says how many built runs to train as one.
        keep: Called once more objects are there to stay (`gradlab.fused.startup.uncollected`).

    Raises:
        UnfusableError: They cannot be trained as one, or are faster alone.
        KeyboardInterrupt: In the midst of it; the files are then those of a run that was killed.
    """
    loops, states = [], []
    for member in members:
        loops.append(assemble(member.cfg, load=load))
        states.append(random_state(loops[-1].device))
        if len(loops) == 1:
            build_loop(members[:1], loops)  # what stands against it is told before the others are built
        keep()
    fuse([loop.model for loop in loops])
    width = choose(loops)
    if width.count == 1:
        raise UnfusableError(f"it is no slower so: {width.reason}")
    around = environment(device=str(loops[0].device), threads=torch.get_num_threads())
    for start in range(0, len(members), width.count):
        part = slice(start, start + width.count)
        _train(members[part], loops[part], states[part], environment=around)


def _train(
    members: Sequence[Member], loops: Sequence[Loop], states: Sequence[RandomState], *, environment: Environment
) -> None:
    """Train built runs as one; ``states`` is each run's random state between its building and its end."""
    began = time.monotonic()
    fused = build_loop(members, loops)
    console.say(f"{len(members)} runs as one: {members[0].folder.name} …")
    sessions = []
    for member, loop in zip(members, loops, strict=True):
        clear_run(member.folder, stale=True)
        given = (member.cfg, member.folder, member.record, loop)
        sessions.append(open_session(*given, start=member.start, environment=environment))
    try:
        with quiet(), interruptible(fused.interrupt):
            for step in fused.run():
                session = sessions[step.arm]
                session.history.add(step.metrics, step.recording)
                if session.loop.status != "running" and session.cfg.train.checkpoint:
                    set_random_state(states[step.arm])
                    session.save(seconds=(time.monotonic() - began) / len(members))
    finally:
        for session in sessions:
            session.history.close()
    for member, session in zip(members, sessions, strict=True):
        member.session, member.seconds = session, (time.monotonic() - began) / len(members)
        member.record["fused"] = len(members)


def build_loop(members: Sequence[Member], loops: Sequence[Loop]) -> FusedLoop:
    """Return the training of built runs as one.

    Raises:
        UnfusableError: They cannot be trained as one.
    """
    cfg = members[0].cfg
    model = fuse([loop.model for loop in loops])
    probe = Probe(model, last=cfg.train.steps - 1, gauge=BatchedGauge(len(loops)), **cfg.probe)
    nodes = [member.start.config["clipping"] for member in members]
    rule = locate(nodes[0]["_target_"], "clipping")
    if rule not in RULES:
        raise UnfusableError(f"{rule.__name__} has no fused twin")
    update = Update(loops, [course(member.start.config) for member in members], model)
    thresholds = {
        name: torch.tensor([node[name] for node in nodes], dtype=torch.float64, device=loops[0].device)
        for name in nodes[0]
        if not name.startswith("_")
    }
    return FusedLoop(loops, model=model, probe=probe, update=update, clip=RULES[rule], thresholds=thresholds)
