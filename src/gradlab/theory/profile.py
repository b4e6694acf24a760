"""The size of the gradient at every layer of one network at initialization, computed from its layers' variances.

Covered are plain networks (`mean_field`), normalized ones (batch norm: Yang et al. 2019, "A mean field theory of batch
normalization"), and residual blocks with nothing after the sum, x + a F(x) (Yang & Schoenholz 2017; De & Smith 2020).
All figures are second moments over the units of a layer, at each position of its map: [samples, h, w].
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradlab.theory.gaussian import Array
from gradlab.theory.network import Network
from gradlab.theory.step import Batch, Step, added, noise, passed, positions_of, step_of


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The prediction for each hidden layer on the main path, from the first to the last.

    Attributes:
        log_gradients: Natural log of E||dL/dz||^2, relative to the last hidden layer; -inf where no gradient arrives,
            nan where a normalization is over fewer than `finite.FEWEST` numbers.
        log_outputs: Natural log of E||dL/dh||^2 after the first layer and after each block, relative to the last.
        variances: Second moment of z.
        positions: Number of positions of the layer's map.
        walk: Mean over the layers of the variance that a layer of width 1 adds to ln ||dL/dz||^2.
        size_spread: Under batch norm, variance of the samples' sizes over their squared mean in the last layer, by the
            growth of a small perturbation. Where it is not small, single samples dominate the batch, and the prediction
            does not hold.
    """

    log_gradients: list[float]
    log_outputs: list[float]
    variances: list[float]
    positions: list[int]
    walk: float
    size_spread: float = 0.0


def profile(network: Network) -> Profile:
    """Propagate the signal's variances forward and the gradient's squared norm back.

    In residual blocks the squares of skip and branch add up, without a cross term, because the branch's last weights
    have mean 0 and are independent of the skip.
    """
    signal = network.stem.forward(network.inputs)
    varying = float(network.stem.linear(network.inputs).mean()) * network.spread  # a bias is the same for all samples
    sizes = network.inputs.mean((-2, -1))
    size_spread = float(sizes.var() / sizes.mean() ** 2) if sizes.any() else 0.0
    batch = Batch(varying, (network.unequal or 0.0) + noise(network, network.stem), size_spread)
    variances, positions = [float(signal.mean())], [positions_of(signal)]
    blocks: list[list[Step]] = []
    for index, affines in enumerate(network.blocks):
        branch, branch_batch, steps = signal, batch, []
        for affine in affines:
            step = step_of(network, affine, branch, branch_batch)
            branch = affine.forward(step.moments.square)
            branch_batch = passed(network, step, branch_batch) if network.normalization == "batch" else branch_batch
            variances.append(float(branch.mean()))
            positions.append(positions_of(branch))
            steps.append(step)
        if network.scales is None:
            signal, batch = branch, branch_batch
        else:
            scale = network.scales[index] ** 2
            signal, batch = signal + scale * branch, added(batch, branch_batch, scale)
        blocks.append(steps)
    # Only ratios between layers are returned, so the loss's gradient at the last layer is taken to be 1 everywhere. In
    # a plain network it passes the last normalization and activation on its way to the last z.
    totals = np.ones_like(signal)
    if network.scales is None:
        totals = step_of(network, network.stem, signal, batch).slope
    return replace(_back(network, blocks, totals, (variances, positions)), size_spread=batch.size_spread)


def _back(
    network: Network, blocks: Sequence[list[Step]], totals: Array, forward: tuple[list[float], list[int]]
) -> Profile:
    """Propagate the gradient back, block by block.

    Args:
        network: The network.
        blocks: The forward steps of each block.
        totals: E||dL/dh||^2 after the last block, summed over the units, [samples, h, w].
        forward: Variances and positions of each layer, from the first to the last.
    """
    scales = [1.0] * len(blocks) if network.scales is None else network.scales
    gradients, walks, log_scale = [], [], 0.0
    outputs = [_log(totals)]
    for steps, scale in zip(reversed(blocks), reversed(scales), strict=True):
        inner = scale**2 * totals
        for step in reversed(steps):
            gradients.append(log_scale + _log(inner))
            inner = step.back(inner)
        through = inner if network.scales is None else totals + inner
        walks.append(_block_walk(steps, float(inner.sum() / totals.sum()), skip=network.scales is not None))
        # rescaled to mean 1 after each block, because the product over thousands of layers may leave float64's range
        size = float(through.mean())
        totals, log_scale = through / (size or 1.0), log_scale + (-np.inf if size <= 0 else np.log(size))
        outputs.append(log_scale + _log(totals))
    gradients.append(log_scale + _log(totals))
    layers = max(len(gradients) - 1, 1)
    return Profile(
        log_gradients=_relative(gradients),
        log_outputs=_relative(outputs),
        variances=forward[0],
        positions=forward[1],
        walk=sum(walks) / layers,
    )


def _block_walk(steps: Sequence[Step], branch: float, *, skip: bool) -> float:
    """Return the variance that a block of width 1 adds to ln ||dL/dx||^2.

    With a skip only the part of the gradient that came through the branch fluctuates, a share b / (1 + b) of its
    square. It adds b (4 + b v) / (1 + b)^2, where the 4 comes from the cross term of skip and branch.

    Args:
        steps: The block's steps; v is the sum of their variances.
        branch: b, squared gradient through the branch over that through the skip.
        skip: Whether the block has a skip.
    """
    inner = sum(step.walk for step in steps)
    return branch * (4 + branch * inner) / (1 + branch) ** 2 if skip else inner


def _relative(logs: Sequence[float]) -> list[float]:
    """Return logs relative to the last layer, from first to last, given logs from the last layer to the first."""
    return [0.0 if value == logs[0] else float(value - logs[0]) for value in reversed(logs)]  # -inf - -inf is nan


def _log(values: Array) -> float:
    total = float(values.sum())
    return -np.inf if total <= 0 else float(np.log(total))  # nan stays nan
