"""The size of the gradient at every layer of one network at initialization, computed from its layers' variances.

Covered are plain networks (`mean_field`), normalized ones (batch norm: Yang et al. 2019, "A mean field theory of batch
normalization"), and residual blocks with nothing after the sum, x + a F(x) (Yang & Schoenholz 2017; De & Smith 2020).
All figures are second moments over the units of a layer, at each position of its map: [samples, h, w].
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gradlab.theory.affine import Affine
from gradlab.theory.gaussian import Array, Moments, Phi

Normalization = Literal["none", "position", "sample", "batch"]


@dataclass(frozen=True, kw_only=True)
class Network:
    """The properties of a network from which its gradients are predicted.

    Attributes:
        phi: The activation.
        stem: The first affine map.
        blocks: The affine maps of each block after it; a plain network may be one block.
        scales: Factor a on each block's branch F in x + a F(x); None for a plain network, whose last z goes through
            one more normalization and activation.
        normalization: None, over the features at each position of a sample (RMS norm), over the whole sample (layer
            norm), or over the batch.
        epsilon: Number that the normalization adds to the variance.
        inputs: Mean square of the inputs' entries [samples, h, w]; one entry may represent a group of samples.
        spread: For batch norm, share of the inputs' mean square that varies over the batch.
        batch: For batch norm, number of samples; inf for the limit of many.
        unequal: For batch norm, how much the distances between samples differ: the variance of the eigenvalues of the
            inputs' centred Gram matrix over their squared mean. None takes all distances to be equal in every layer.
    """

    phi: Phi
    stem: Affine
    blocks: Sequence[Sequence[Affine]]
    scales: Sequence[float] | None = None
    normalization: Normalization = "none"
    epsilon: float = 0.0
    inputs: Array
    spread: float = 1.0
    batch: float = float("inf")
    unequal: float | None = None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The prediction for each hidden layer on the main path, from the first to the last.

    Attributes:
        log_gradients: Natural log of E||dL/dz||^2, relative to the last hidden layer; -inf where no gradient arrives.
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


@dataclass(frozen=True)
class _Batch:
    """Statistics of a signal over the batch, for batch norm.

    Attributes:
        varying: Part of the signal's mean square that varies over the batch.
        unequal: How much the distances between samples differ (`Network.unequal`).
        size_spread: How much the samples' sizes differ (`Profile.size_spread`).
    """

    varying: float
    unequal: float
    size_spread: float


@dataclass(frozen=True)
class _Step:
    """Forward pass through one normalization, activation and affine map, as far as `back` needs it.

    Attributes:
        affine: The affine map.
        moments: Moments of the activation at the normalized signal.
        rate: Squared slope of the normalization, with its corrections for a finite batch.
        shape: Shape of the signal before the step, [samples, h, w].
    """

    affine: Affine
    moments: Moments
    rate: Array
    shape: tuple[int, ...]

    @property
    def slope(self) -> Array:
        return self.moments.slope_square * self.rate

    def back(self, totals: Array) -> Array:
        return self.slope * self.affine.back(totals, self.shape)

    @property
    def walk(self) -> float:
        """3 E[phi'^4]/E[phi'^2]^2 - 1; 2 of it is due to the length of W^T g, which an orthogonal W preserves."""
        square = float(self.moments.slope_square.mean())
        kurtosis = float(self.moments.slope_fourth.mean()) / square**2 if square > 0 else 1.0
        return 3 * kurtosis - (3 if self.affine.orthogonal else 1)


def profile(network: Network) -> Profile:
    """Propagate the signal's variances forward and the gradient's squared norm back.

    In residual blocks the squares of skip and branch add up, without a cross term, because the branch's last weights
    have mean 0 and are independent of the skip.
    """
    signal = network.stem.forward(network.inputs)
    varying = float(network.stem.linear(network.inputs).mean()) * network.spread  # a bias is the same for all samples
    sizes = network.inputs.mean((-2, -1))
    size_spread = float(sizes.var() / sizes.mean() ** 2) if sizes.any() else 0.0
    batch = _Batch(varying, (network.unequal or 0.0) + _noise(network, network.stem), size_spread)
    variances, positions = [float(signal.mean())], [_positions(signal)]
    blocks: list[list[_Step]] = []
    for index, affines in enumerate(network.blocks):
        branch, branch_batch, steps = signal, batch, []
        for affine in affines:
            step = _step(network, affine, branch, branch_batch)
            branch = affine.forward(step.moments.square)
            branch_batch = _passed(network, step, branch_batch) if network.normalization == "batch" else branch_batch
            variances.append(float(branch.mean()))
            positions.append(_positions(branch))
            steps.append(step)
        if network.scales is None:
            signal, batch = branch, branch_batch
        else:
            scale = network.scales[index] ** 2
            signal, batch = signal + scale * branch, _sum(batch, branch_batch, scale)
        blocks.append(steps)
    # Only ratios between layers are returned, so the loss's gradient at the last layer is taken to be 1 everywhere. In
    # a plain network it passes the last normalization and activation on its way to the last z.
    totals = np.ones_like(signal)
    if network.scales is None:
        totals = _step(network, network.stem, signal, batch).slope
    return replace(_back(network, blocks, totals, (variances, positions)), size_spread=batch.size_spread)


def _back(
    network: Network, blocks: Sequence[list[_Step]], totals: Array, forward: tuple[list[float], list[int]]
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
        totals, log_scale = through / (size or 1.0), log_scale + (np.log(size) if size > 0 else -np.inf)
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


def _block_walk(steps: Sequence[_Step], branch: float, *, skip: bool) -> float:
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


def _passed(network: Network, step: _Step, batch: _Batch) -> _Batch:
    """Return the statistics over the batch after a normalization, an activation and an affine map.

    Samples sum to 0 after batch norm, so any two have a correlation of -1 / (batch - 1). Deviations from that shrink by
    E[phi']^2 / Var[phi], and each layer's finite width adds new ones.
    """
    slope = step.moments.slope**2
    varying = step.moments.square - step.moments.mean**2 + slope / max(network.batch - 1, 1)
    remaining = float((slope / np.maximum(varying, 1e-300)).mean())
    unequal = min(remaining, 1.0) ** 2 * batch.unequal + _noise(network, step.affine)
    size_spread = size_growth(network.phi) ** 2 * batch.size_spread + 2 / step.affine.width
    return _Batch(float(step.affine.linear(varying).mean()), unequal, min(size_spread, 1e9))


def size_growth(phi: Phi) -> float:
    """Return the factor by which a layer with batch norm multiplies a sample's deviation in size from the others.

    It is C'(1) / C(1), where C(q) = E[phi^2] - 2 E[phi] m + m^2 is the centred second moment of a sample of variance q
    among samples of variance 1 and mean m. It is 1 for relu and linear maps and below 1 for tanh. Above 1, as for
    softplus, gelu and silu, single samples outgrow the rest of their batch (Yang et al. 2019 on the fixed points'
    stability).
    """
    step = 0.02  # for the central difference; the moments are interpolated, so a much smaller step would lose digits
    moments = phi.moments(np.array([1 - step, 1.0, 1 + step]))
    middle = moments.mean[1]
    centred = moments.square - 2 * moments.mean * middle + middle**2
    return float((centred[2] - centred[0]) / (2 * step * centred[1])) if centred[1] > 0 else 1.0


def _noise(network: Network, affine: Affine) -> float:
    """Return by how much a random map to finitely many units makes equal distances between samples unequal."""
    return 0.0 if network.unequal is None else network.batch / affine.width


def _sum(skip: _Batch, branch: _Batch, scale: float) -> _Batch:
    """Return the statistics over the batch of x + a F(x), a^2 = scale."""
    varying = skip.varying + scale * branch.varying
    share = scale * branch.varying / varying if varying else 0.0
    # skip and branch are taken to deviate in the same samples, so standard deviations add up, not variances
    unequal, size_spread = (
        ((1 - share) * of_skip**0.5 + share * of_branch**0.5) ** 2
        for of_skip, of_branch in ((skip.unequal, branch.unequal), (skip.size_spread, branch.size_spread))
    )
    return _Batch(varying, unequal, size_spread)


def _step(network: Network, affine: Affine, signal: Array, batch: _Batch) -> _Step:
    """Return the forward step through normalization, activation and ``affine`` of a signal [samples, h, w]."""
    argument, rate = _normalized(network, signal, batch.varying)
    moments = network.phi.moments(argument)
    if network.normalization == "batch" and network.batch < np.inf:
        # Two corrections for a finite batch. Batch norm's backward pass projects out two directions of a unit's
        # gradient over the batch: the constant vector and the normalized unit itself. And a unit's variance over the
        # batch is a chi square with n degrees of freedom, whose inverse has a mean of 1 / (n - 2). n is batch - 1, or
        # less if the distances between samples differ.
        lost = 1 + moments.slope_square_z / np.maximum(moments.slope_square, 1e-300)
        degrees = (network.batch - 1) / (1 + batch.unequal)
        rate = rate * (1 - lost / network.batch) * network.batch / (network.batch - 1) * degrees / max(degrees - 2, 1)
    return _Step(affine, moments, rate, signal.shape)


def _normalized(network: Network, signal: Array, varying: float) -> tuple[Array, Array]:
    """Return the variance of the activation's argument, and the normalization's squared slope, each [samples, h, w]."""
    if network.normalization == "none":
        return signal, np.ones_like(signal)
    if network.normalization == "batch":
        size = np.full_like(signal, varying + network.epsilon)
        return np.full_like(signal, varying) / size, 1 / size
    over = (-2, -1) if network.normalization == "sample" else ()
    size = signal.mean(over, keepdims=True) + network.epsilon if over else signal + network.epsilon
    return signal / size, np.broadcast_to(1 / size, signal.shape)


def _relative(logs: Sequence[float]) -> list[float]:
    """Return logs relative to the last layer, from first to last, given logs from the last layer to the first."""
    return [0.0 if value == logs[0] else float(value - logs[0]) for value in reversed(logs)]  # -inf - -inf is nan


def _positions(signal: Array) -> int:
    return signal.shape[-2] * signal.shape[-1]


def _log(values: Array) -> float:
    total = float(values.sum())
    return float(np.log(total)) if total > 0 else -np.inf
