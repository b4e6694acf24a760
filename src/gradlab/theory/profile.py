"""The size of the gradient at every layer of one network at initialization, from its layers' variances alone.

Plain networks (`mean_field`), normalized ones (batch norm: Yang et al. 2019, "A mean field theory of batch
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
    """What theory needs to know of a network.

    Attributes:
        phi: The activation.
        stem: The first affine map.
        blocks: The affine maps of each block behind it; a plain network may be one block.
        scales: Factor a on each block's branch F in x + a F(x); None for a plain network, whose last z goes through
            one more normalization and activation.
        normalization: None, over the features at each position of a sample (RMS norm), over the whole sample (layer
            norm), or over the batch.
        epsilon: What the normalization adds to the variance.
        inputs: Mean square of the inputs' entries [samples, h, w]; samples of like size may stand for others.
        spread: Share of the inputs' mean square that varies over the batch, for batch norm.
        batch: Number of samples that batch norm sees; inf for very many.
        unequal: For batch norm, how unequally far the samples are from one another: the variance of the eigenvalues of
            the inputs' centred Gram matrix over their squared mean. None takes all layers' samples to be equally far.
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
    """What theory says of each hidden layer on the main path, from the first to the last.

    Attributes:
        log_gradients: Natural log of E||dL/dz||^2, over that of the last hidden layer; -inf where nothing arrives.
        log_outputs: The same of dL/dh, behind the first layer and behind each block.
        variances: Second moment of z.
        positions: Number of positions of its map.
        walk: Mean over the layers of the variance that a layer of width 1 adds to ln ||dL/dz||^2.
        apart: Under batch norm, variance of the samples' sizes over their squared mean in the last layer, as a small
            perturbation grows; it is not small where some samples have outgrown the others, and then nothing holds.
    """

    log_gradients: list[float]
    log_outputs: list[float]
    variances: list[float]
    positions: list[int]
    walk: float
    apart: float = 0.0


@dataclass(frozen=True)
class _Batch:
    """What batch norm sees of a signal.

    Attributes:
        varying: How much it varies over the batch.
        unequal: How unequally far the samples are from one another (`Network.unequal`).
        apart: How unequal in size they are (`Profile.apart`).
    """

    varying: float
    unequal: float
    apart: float


@dataclass(frozen=True)
class _Step:
    """One normalization, activation and affine map, on the way forward."""

    affine: Affine
    moments: Moments
    rate: Array  # squared slope of the normalization and of what stands in its way
    shape: tuple[int, ...]

    @property
    def slope(self) -> Array:
        return self.moments.slope_square * self.rate

    def back(self, totals: Array) -> Array:
        return self.slope * self.affine.back(totals, self.shape)

    @property
    def walk(self) -> float:
        """3 E[phi'^4]/E[phi'^2]^2 - 1, of which 2 is the length of W^T g, which an orthogonal W keeps."""
        square = float(self.moments.slope_square.mean())
        kurtosis = float(self.moments.slope_fourth.mean()) / square**2 if square > 0 else 1.0
        return 3 * kurtosis - (3 if self.affine.orthogonal else 1)


def profile(network: Network) -> Profile:
    """Follow the signal forward and the gradient back.

    In residual blocks the terms of the skip and of the branch add up in square, because the branch's last weights have
    mean 0 and know nothing of the skip.
    """
    signal = network.stem.forward(network.inputs)
    varying = float(network.stem.linear(network.inputs).mean()) * network.spread  # a bias is the same for all samples
    sizes = network.inputs.mean((-2, -1))
    apart = float(sizes.var() / sizes.mean() ** 2) if sizes.any() else 0.0
    seen = _Batch(varying, (network.unequal or 0.0) + _noise(network, network.stem), apart)
    variances, positions = [float(signal.mean())], [_positions(signal)]
    blocks: list[list[_Step]] = []
    for index, affines in enumerate(network.blocks):
        branch, within, steps = signal, seen, []
        for affine in affines:
            step = _step(network, affine, branch, within)
            branch = affine.forward(step.moments.square)
            within = _passed(network, step, within) if network.normalization == "batch" else within
            variances.append(float(branch.mean()))
            positions.append(_positions(branch))
            steps.append(step)
        if network.scales is None:
            signal, seen = branch, within
        else:
            scale = network.scales[index] ** 2
            signal, seen = signal + scale * branch, _sum(seen, within, scale)
        blocks.append(steps)
    totals = np.ones_like(signal)
    if network.scales is None:  # the loss's gradient comes in through the last normalization and activation
        totals = _step(network, network.stem, signal, seen).slope
    return replace(_back(network, blocks, totals, (variances, positions)), apart=seen.apart)


def _back(
    network: Network, blocks: Sequence[list[_Step]], totals: Array, forward: tuple[list[float], list[int]]
) -> Profile:
    scales = [1.0] * len(blocks) if network.scales is None else network.scales
    gradients, walks, log_scale = [], [], 0.0
    outputs = [_log(totals)]
    for steps, scale in zip(reversed(blocks), reversed(scales), strict=True):
        inner = scale**2 * totals
        found = []
        for step in reversed(steps):
            found.append(log_scale + _log(inner))
            inner = step.back(inner)
        through = inner if network.scales is None else totals + inner
        walks.append(_block_walk(steps, float(inner.sum() / totals.sum()), skip=network.scales is not None))
        gradients += found
        size = float(through.mean())  # so that neither a long way up nor down leaves float64
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

    Behind a skip only a part of the gradient fluctuates: a share b / (1 + b) of its square came through the branch,
    which adds b (4 + b v) / (1 + b)^2, the first term of the product of skip and branch.
    """
    inner = sum(step.walk for step in steps)
    return branch * (4 + branch * inner) / (1 + branch) ** 2 if skip else inner


def _passed(network: Network, step: _Step, within: _Batch) -> _Batch:
    """Return what is left of the differences between samples after a normalization, an activation and an affine map.

    Samples whose sum is 0 after batch norm have a correlation of -1 / (batch - 1) with one another. Other correlations
    shrink by E[phi']^2 / Var[phi], and the width's finite number of units adds new ones.
    """
    slope = step.moments.slope**2
    varying = step.moments.square - step.moments.mean**2 + slope / max(network.batch - 1, 1)
    kept = float((slope / np.maximum(varying, 1e-300)).mean())
    unequal = min(kept, 1.0) ** 2 * within.unequal + _noise(network, step.affine)
    apart = outgrowing(network.phi) ** 2 * within.apart + 2 / step.affine.width
    return _Batch(float(step.affine.linear(varying).mean()), unequal, min(apart, 1e9))


def outgrowing(phi: Phi) -> float:
    """Return by what a layer with batch norm multiplies the difference of a sample's size from the others'.

    With C(q) = E[phi^2] - 2 E[phi] m + m^2, the centred second moment of a sample of variance q among others of 1 and
    mean m, that is C'(1) / C(1): 1 for relu and linear maps, below for tanh, above for softplus, gelu and silu, under
    which single samples outgrow the rest of their batch (Yang et al. 2019 on the fixed points' stability).
    """
    step = 0.02
    moments = phi.moments(np.array([1 - step, 1.0, 1 + step]))
    middle = moments.mean[1]
    centred = moments.square - 2 * moments.mean * middle + middle**2
    return float((centred[2] - centred[0]) / (2 * step * centred[1])) if centred[1] > 0 else 1.0


def _noise(network: Network, affine: Affine) -> float:
    """Return how unequal a random map to a finite width makes samples that were equally far from one another."""
    return 0.0 if network.unequal is None else network.batch / affine.width


def _sum(skip: _Batch, branch: _Batch, scale: float) -> _Batch:
    """Return what batch norm sees of x + a F(x), a^2 = scale."""
    varying = skip.varying + scale * branch.varying
    share = scale * branch.varying / varying if varying else 0.0
    unequal, apart = (
        ((1 - share) * ours**0.5 + share * theirs**0.5) ** 2
        for ours, theirs in ((skip.unequal, branch.unequal), (skip.apart, branch.apart))
    )
    return _Batch(varying, unequal, apart)


def _step(network: Network, affine: Affine, signal: Array, within: _Batch) -> _Step:
    argument, rate = _normalized(network, signal, within.varying)
    moments = network.phi.moments(argument)
    if network.normalization == "batch" and network.batch < np.inf:
        # The gradient loses its parts along the ones and along the normalized unit; a unit's variance over the batch is
        # a chi square whose inverse has mean 1 / (n - 2), n fewer than the samples where these are unequally far apart.
        lost = 1 + moments.slope_square_z / np.maximum(moments.slope_square, 1e-300)
        free = (network.batch - 1) / (1 + within.unequal)
        rate = rate * (1 - lost / network.batch) * network.batch / (network.batch - 1) * free / max(free - 2, 1)
    return _Step(affine, moments, rate, signal.shape)


def _normalized(network: Network, signal: Array, varying: float) -> tuple[Array, Array]:
    """Return the variance of the activation's argument, and the squared slope of the normalization before it."""
    if network.normalization == "none":
        return signal, np.ones_like(signal)
    if network.normalization == "batch":
        size = np.full_like(signal, varying + network.epsilon)
        return np.full_like(signal, varying) / size, 1 / size
    over = (-2, -1) if network.normalization == "sample" else ()
    size = signal.mean(over, keepdims=True) + network.epsilon if over else signal + network.epsilon
    return signal / size, np.broadcast_to(1 / size, signal.shape)


def _relative(logs: Sequence[float]) -> list[float]:
    """Return logs, from the last layer to the first, over the last one's, from the first layer to the last."""
    return [0.0 if value == logs[0] else float(value - logs[0]) for value in reversed(logs)]


def _positions(signal: Array) -> int:
    return signal.shape[-2] * signal.shape[-1]


def _log(values: Array) -> float:
    total = float(values.sum())
    return float(np.log(total)) if total > 0 else -np.inf
