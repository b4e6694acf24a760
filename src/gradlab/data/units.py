"""Errors of a regression in the original units of its targets."""

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

import torch


@dataclass(frozen=True, kw_only=True)
class Units:
    """How to read the mean squared error of a regression.

    Attributes:
        unit: Length of 1 of the targets, in their original units; not 1 if they are standardized.
        variance: Variance of the test targets as they are trained on, a mean over the values to predict.
    """

    unit: float
    variance: float

    def metrics(self, eval_loss: float | None) -> dict[str, float | None]:
        """Return ``eval_rmse``, in the original units, and ``eval_r2``, 1 for perfect and 0 for predicting the mean.

        Each is None if the loss was not measured or is not finite; R2 also where the test targets are all equal.
        """
        if eval_loss is None or not isfinite(eval_loss):
            return {"eval_rmse": None, "eval_r2": None}
        return {
            "eval_rmse": self.unit * sqrt(eval_loss),
            "eval_r2": 1 - eval_loss / self.variance if self.variance > 0 else None,
        }


def units(data: Any) -> Units | None:
    """Return the units of a data set; None if it is no regression.

    Args:
        data: A data set, such as `gradlab.data.dataset.Dataset`.
    """
    if data.task != "regression":
        return None
    targets = torch.cat([targets for _, targets in data.test_batches()]).double()
    return Units(unit=getattr(data, "unit", 1.0), variance=float(targets.var(0, correction=0).mean()))
