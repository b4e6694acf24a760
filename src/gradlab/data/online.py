"""Problems of online convex optimization: losses that come one by one, in an order that matters."""

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
    """Give the losses on which Adam is led astray (Reddi et al. 2018, section 3): f_t(x) = cost x, then -reward x.

    The first of every ``period`` steps costs, the others reward. With 1010 and 10 a whole period is 10 x, so the best x
    is the smallest; but the rare large gradient counts little once it is divided by its own size.

    Args:
        period: Steps from one cost to the next.
        cost: Slope of the loss at the first step of a period.
        reward: Negative slope at the others.

    Returns:
        Inputs [period, 1], all 1, and targets [period, 1], the slopes, in their order. The test set has the one slope
        1: its loss is x itself.
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
