"""A run in the middle or at its end as a file that ``torch.load(weights_only=True)`` reads."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gradlab.artifacts.atomic import replacing
from gradlab.artifacts.fingerprint import decisive_part, differences
from gradlab.artifacts.record import RunRecord, read_or_unfinished
from gradlab.errors import GradlabError
from gradlab.train.loop import Loop
from gradlab.train.rng import all_random_states, set_all_random_states


class ForeignRunError(GradlabError):
    """The folder holds a run of another config: it must be left as it is."""


def save(path: Path, loop: Loop, *, run: Mapping[str, Any]) -> None:
    """Write a run down, between two of its steps and by rename.

    Args:
        path: File to write.
        loop: The training run.
        run: What else belongs to it: plain numbers, words, lists and dictionaries by name.
    """
    content = {name: part.state_dict() for name, part in _parts(loop).items()}
    content |= {
        "clipping": content.get("clipping", {}),
        "rng": all_random_states() | {"batches": loop.batches.state_dict()},
        "step": loop.step,
        "status": loop.status,
        **run,
    }
    with replacing(path) as temporary:
        torch.save(content, temporary)


def read(path: Path) -> dict[str, Any] | None:
    """Return the content of a checkpoint, its tensors on the CPU; None where there is no such file.

    Raises:
        GradlabError: The file cannot be read.
    """
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise GradlabError(f"{path} cannot be read; without it the run starts over") from error


def restore(loop: Loop, content: Mapping[str, Any]) -> None:
    """Take a freshly built run to where another, of the same config, was saved; one that was interrupted goes on.

    Args:
        loop: The training run.
        content: What `save` wrote.
    """
    for name, part in _parts(loop).items():
        part.load_state_dict(content[name])
    loop.refresh()
    loop.batches.load_state_dict(content["rng"]["batches"])
    loop.step = content["step"]
    loop.status = "running" if content["status"] == "interrupted" else content["status"]
    set_all_random_states(content["rng"], loop.device)


def find(
    folder: Path, *, config: Mapping[str, Any], fingerprint: str, only_own: bool
) -> tuple[RunRecord | None, dict[str, Any] | None]:
    """Look for a run of this config in a folder.

    Args:
        folder: The run's folder.
        config: The config as plain dictionaries.
        fingerprint: Of the config.
        only_own: Whether it is an error that the folder holds a run of another config.

    Returns:
        Its run.json, if it has come to its end, and its checkpoint, if it has not but can go on; each None otherwise.

    Raises:
        ForeignRunError: The folder holds a run of another config; the message names the keys that differ.
        GradlabError: Its checkpoint cannot be read.
    """
    record = read_or_unfinished(folder)
    own = record.get("fingerprint") == fingerprint
    if own and record["status"] in ("completed", "diverged"):
        return record, None
    saved = read(folder / "checkpoint.pt")
    if saved and saved.get("fingerprint") == fingerprint:
        return None, saved
    if only_own and (saved or (not own and "fingerprint" in record)):
        lines = differences(decisive_part(saved["config"]), decisive_part(config)) if saved else []
        reason = "; ".join(lines) or "the version of gradlab or of your own parts is another"
        raise ForeignRunError(f"train.resume={folder}: the run was done under another config: {reason}")
    return None, None


def _parts(loop: Loop) -> dict[str, Any]:
    """Return what has a state, by its name in the file, in the order in which it must be loaded.

    What changes the model's structure belongs first: the parameters must be there before the model's and the
    optimizer's state can be loaded.
    """
    parts = {
        "structure": loop.structure,
        "model": loop.model,
        "optimizer": loop.optimizer,
        "lr_scheduler": loop.lr_scheduler,
        "clipping": loop.clip,
        "precision": loop.precision,
        "probe": loop.probe,
    }
    return {name: part for name, part in parts.items() if hasattr(part, "state_dict")}
