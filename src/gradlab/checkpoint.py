"""The end of a run as a file that ``torch.load(weights_only=True)`` reads."""

from pathlib import Path
from typing import Any

import torch

from gradlab.runs import replacing
from gradlab.train import Loop


def save(path: Path, loop: Loop, *, fingerprint: str) -> None:
    """Write ``{model, optimizer, lr_scheduler, clipping, rng, step, fingerprint}``, by rename.

    Args:
        path: File to write.
        loop: The training run.
        fingerprint: Of the run's config.
    """
    content = {
        "model": loop.model.state_dict(),
        "optimizer": loop.optimizer.state_dict(),
        "lr_scheduler": loop.lr_scheduler.state_dict(),
        "clipping": loop.clip.state_dict() if hasattr(loop.clip, "state_dict") else {},  # pyright: ignore[reportFunctionMemberAccess]
        "rng": random_state() | {"batches": loop.batches.state_dict()},
        "step": loop.step,
        "fingerprint": fingerprint,
    }
    with replacing(path) as temporary:
        torch.save(content, temporary)


def random_state() -> dict[str, Any]:
    """Return the state of torch's global generators, of the CPU and of each CUDA device."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}
