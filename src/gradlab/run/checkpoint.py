"""Checkpoints: the state of a run as a file that ``torch.load(weights_only=True)`` reads."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from gradlab.artifacts.atomic import replacing
from gradlab.artifacts.fingerprint import decisive_part, differences
from gradlab.artifacts.record import RunRecord, read_or_unfinished
from gradlab.errors import GradlabError
from gradlab.train.loop import Loop
from gradlab.train.rng import all_random_states, set_all_random_states

# How a run of another config in the folder is treated: `refuse` protects one with results, `resume` any.
Foreign = Literal["overwrite", "refuse", "resume"]


_SHOWN = 3  # differing keys that are listed
_RESULTS = ("completed", "diverged", "interrupted")  # statuses of a run whose tables are worth keeping


class ForeignRunError(GradlabError):
    """The folder holds a run of another config, which must not be overwritten."""


def save(path: Path, loop: Loop, *, run: Mapping[str, Any]) -> None:
    """Write a checkpoint of a run that is between two steps, by rename.

    Args:
        path: File to write.
        loop: The training run.
        run: Further entries of the checkpoint: plain numbers, strings, lists and dictionaries.
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
    """Return the content of a checkpoint, with its tensors on the CPU; None if there is no such file.

    Raises:
        GradlabError: The file cannot be read.
    """
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise GradlabError(f"{path} cannot be read; remove it to start the run over") from error


def restore(loop: Loop, content: Mapping[str, Any]) -> None:
    """Restore a freshly built run from a checkpoint of the same config; an interrupted one gets the status running.

    Args:
        loop: The training run, changed in place.
        content: The content of the checkpoint, as `save` wrote it.
    """
    for name, part in _parts(loop).items():
        part.load_state_dict(content[name])
    loop.refresh()
    loop.batches.load_state_dict(content["rng"]["batches"])
    loop.step = content["step"]
    loop.status = "running" if content["status"] == "interrupted" else content["status"]
    set_all_random_states(content["rng"], loop.device)


def find(
    folder: Path, *, config: Mapping[str, Any], fingerprint: str, foreign: Foreign
) -> tuple[RunRecord | None, dict[str, Any] | None]:
    """Look in a folder for a run of this config.

    Args:
        folder: The run's folder.
        config: The config as plain dictionaries.
        fingerprint: The config's fingerprint.
        foreign: How a run of another config in the folder is treated.

    Returns:
        The run's run.json if it is finished, and its checkpoint if it can be resumed; each None otherwise.

    Raises:
        ForeignRunError: The folder holds a run of another config; the message names the keys that differ.
        GradlabError: The checkpoint cannot be read.
    """
    record = read_or_unfinished(folder)
    same = record.get("fingerprint") == fingerprint
    if same and record["status"] in ("completed", "diverged"):
        return record, None
    saved = read(folder / "checkpoint.pt")
    if saved and saved.get("fingerprint") == fingerprint:
        return None, saved
    lines = differences(decisive_part(saved["config"]), decisive_part(config)) if saved else []
    if foreign == "resume" and (saved or (not same and "fingerprint" in record)):
        reason = "; ".join(lines) or "gradlab's version or the source of your own parts differs"
        raise ForeignRunError(f"train.resume={folder}: the run was done under another config: {reason}")
    if foreign == "refuse" and (saved or (not same and record["status"] in _RESULTS)):
        shown = [*lines[:_SHOWN], *([f"and {len(lines) - _SHOWN} more keys"] if len(lines) > _SHOWN else [])]
        reason = "; ".join(shown) or "a key, gradlab's version or the source of your own parts differs"
        hint = "choose another folder, or add overwrite=true"
        raise ForeignRunError(f"{folder} holds a run of another config ({reason}): {hint}")
    return None, None


def _parts(loop: Loop) -> dict[str, Any]:
    """Return the parts of a run that have a state, by their names in the file and in loading order.

    The structure comes first, because it creates the parameters whose values the model and the optimizer load.
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
