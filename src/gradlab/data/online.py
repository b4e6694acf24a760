"""Problems of online convex optimization: a sequence of losses whose order matters."""

from typing import Annotated

import torch
from annotated_types import Ge, Gt

from gradlab.data.dataset import Dataset


def rare_cost(
    *,
    period: Annotated[int, Ge(2)] = 101,
    cost: Annotated[float, Gt(0)] = 1010.0,
    reward: Annotated[float, Gt(0)] = 10.0,
) -> Dataset:
    """Return losses on which Adam does not converge (Reddi et al. 2018, section 3; the numbers are from section 5).

    f_t(x) = cost x at the first of every ``period`` steps, -reward x at the others. With 1010 and 10 the losses of a
    period of 101 add up to 10 x, so the best x is the smallest. Adam divides the rare large gradient by its own size,
    so that it has too little effect.

    Args:
        period: Number of steps from one cost to the next.
        cost: Slope of the loss at the first step of a period.
        reward: Negative slope at the other steps.

    Returns:
        Inputs [period, 1], all 1, and targets [period, 1], the slopes, in their order. The test set has a single slope
        of 1, so its loss is x.
    """
    slopes = torch.full((period, 1), -reward)
    slopes[0] = cost
    one = torch.ones(1, 1)
    return Dataset(
        train_inputs=torch.ones(period, 1),
        train_targets=slopes,
        test_inputs=one,
        test_targets=one,
        outputs=1,
        task="linear",
        ordered=True,
    )
