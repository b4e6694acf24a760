"""Clipping rules whose threshold depends on the gradient norms of the run so far.

They are called like the rules of ``clipping``. Their state stays on the gradients' device, so that no step waits for
it; ``state_dict`` goes into the checkpoint.
"""

from collections.abc import Mapping
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from gradlab.norms import total_norm
from gradlab.optim.clipping import NamedParameters, gradients, scale, shrinkage


class AutoClip:
    """Clips the global norm to a percentile of all norms so far, including the current one (Seetharaman et al. 2020).

    Args:
        percentile: Percentile, interpolated linearly between norms, from 0 (the smallest so far) to 100 (no clipping).
    """

    def __init__(self, *, percentile: Annotated[float, Ge(0), Le(100)]) -> None:
        self._quantile = percentile / 100
        self._norms = torch.empty(0, dtype=torch.float64)

    def __call__(self, named_parameters: NamedParameters) -> None:
        """Clip the gradients in place; a norm that is not finite is neither clipped nor added to the history."""
        grads = gradients(named_parameters)
        norm = total_norm(grads)
        finite_norm = torch.where(torch.isfinite(norm), norm, torch.nan)  # nan, which nanquantile skips: no host sync
        self._norms = torch.cat([self._norms.to(norm.device), finite_norm[None]])
        scale(grads, shrinkage(norm, torch.nanquantile(self._norms, self._quantile)))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the norms so far, [steps]."""
        return {"norms": self._norms}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Resume from ``state``."""
        self._norms = state["norms"]


class ZClip:
    """Clips a global norm that is an outlier by the running mean and variance of the norms (Kumar et al. 2025).

    A norm with z = (norm - mean) / sd above the threshold is clipped to mean + threshold sd / (z / threshold), so a
    larger outlier is clipped harder. Mean and variance are initialized from the first steps, in which nothing is
    clipped. They are then updated with the clipped norm, the variance about the new mean, as in the authors' code.

    Args:
        alpha: Weight of the old mean and variance in each update.
        z_threshold: Largest z that is not clipped.
        warmup_steps: Number of steps from which mean and variance are initialized.
    """

    def __init__(
        self,
        *,
        alpha: Annotated[float, Ge(0), Lt(1)],
        z_threshold: Annotated[float, Gt(0)],
        warmup_steps: Annotated[int, Ge(1)],
    ) -> None:
        self._alpha, self._threshold, self._warmup_steps = alpha, z_threshold, warmup_steps
        self._norms = torch.empty(0, dtype=torch.float64)
        self._mean = self._variance = torch.tensor(torch.nan, dtype=torch.float64)

    def __call__(self, named_parameters: NamedParameters) -> None:
        """Clip the gradients in place; a norm that is not finite is neither clipped nor added to the history."""
        grads = gradients(named_parameters)
        norm = total_norm(grads)
        if len(self._norms) < self._warmup_steps:
            self._warm_up(torch.where(torch.isfinite(norm), norm, torch.nan))
            return
        mean, variance = self._mean.to(norm.device), self._variance.to(norm.device)
        deviation = variance.sqrt()
        z = (norm - mean) / deviation
        limit = torch.where(z > self._threshold, mean + self._threshold**2 * deviation / z, norm)
        scale(grads, shrinkage(norm, limit))
        finite = torch.isfinite(norm)  # torch.where below, not `if`: no host synchronization
        new_mean = self._alpha * mean + (1 - self._alpha) * limit
        new_variance = self._alpha * variance + (1 - self._alpha) * (limit - new_mean) ** 2
        self._mean = torch.where(finite, new_mean, mean)
        self._variance = torch.where(finite, new_variance, variance)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the norms of the warm-up, [steps], and the running mean and variance."""
        return {"norms": self._norms, "mean": self._mean, "variance": self._variance}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Resume from ``state``."""
        self._norms, self._mean, self._variance = state["norms"], state["mean"], state["variance"]

    def _warm_up(self, norm: Tensor) -> None:
        self._norms = torch.cat([self._norms.to(norm.device), norm[None]])
        self._mean = self._norms.nanmean()
        self._variance = ((self._norms - self._mean) ** 2).nanmean()
