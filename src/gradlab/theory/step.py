"""One layer of a profile: normalization, activation and affine map, forward and back."""

from dataclasses import dataclass, fields, replace

import numpy as np

from gradlab.theory.affine import Affine
from gradlab.theory.finite import FEWEST, batch_rate, feature_rate, normalized, pair
from gradlab.theory.gaussian import Array, Moments, Phi
from gradlab.theory.network import Network

_CENTRED = ("sample", "batch")  # normalizations that subtract a mean


@dataclass(frozen=True)
class Batch:
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
class Step:
    """Forward pass through one normalization, activation and affine map, as far as `back` needs it.

    Attributes:
        affine: The affine map.
        moments: Moments of the activation at the normalized signal.
        rate: Squared slope of the normalization, with its corrections for finite size.
        shape: Shape of the signal before the step, [samples, h, w].
        varying: Under batch norm, the part of E[phi^2] that varies over the batch; else 0.
        noise: Variance that the normalization of finitely many numbers adds to ln ||dL/dz||^2 in a layer of width 1.
    """

    affine: Affine
    moments: Moments
    rate: Array
    shape: tuple[int, ...]
    varying: Array
    noise: float = 0.0

    @property
    def slope(self) -> Array:
        """Factor on the squared gradient by normalization and activation, [samples, h, w]."""
        return self.moments.slope_square * self.rate

    def back(self, totals: Array) -> Array:
        """Return E||dL/dz||^2 before the step, given that after it."""
        return self.slope * self.affine.back(totals, self.shape)

    @property
    def walk(self) -> float:
        """3 E[phi'^4]/E[phi'^2]^2 - 1; 2 of it is due to the length of W^T g, which an orthogonal W preserves."""
        square = float(self.moments.slope_square.mean())
        kurtosis = float(self.moments.slope_fourth.mean()) / square**2 if square > 0 else 1.0
        return 3 * kurtosis - (3 if self.affine.orthogonal else 1) + self.noise


def step_of(network: Network, affine: Affine, signal: Array, batch: Batch) -> Step:
    """Return the forward step through normalization, activation and ``affine`` of a signal [samples, h, w]."""
    argument, slope = _normalized(network, signal, batch.varying)
    step = Step(affine, network.phi.moments(argument), slope, signal.shape, np.zeros_like(signal))
    if network.normalization == "batch":
        return _batch_step(network, step, batch)
    return step if network.normalization == "none" or not affine.features else _feature_step(network, step, argument)


def _feature_step(network: Network, step: Step, argument: Array) -> Step:
    """Return a step with the finite-size terms of a normalization over features, or features and positions."""
    features = step.affine.features
    positions = positions_of(argument) if network.normalization == "sample" else 1
    numbers, centred = features // network.groups * positions, network.normalization in _CENTRED
    if numbers < FEWEST:
        return replace(step, rate=np.full_like(step.rate, np.nan))
    means = normalized(network.phi, numbers, centred=centred, variance=float(argument.mean()))
    plain = network.scales is None and positions_of(argument) == 1
    orthogonal = step.affine.orthogonal
    rate = feature_rate(means, numbers=numbers, features=features, centred=centred, orthogonal=orthogonal, plain=plain)
    # of a chi square with k degrees of freedom the inverse varies by 2 / (k - 4); an orthogonal map's sizes by 4 / N^2
    whole = orthogonal and network.groups == 1
    noise = 4 / numbers if whole else 2 * numbers / max(numbers - (5 if centred else 4), 1)
    moments = step.moments if positions > 1 else _broadcast(means.moments, argument)
    return replace(step, moments=moments, rate=rate * step.rate, noise=noise)


def _batch_step(network: Network, step: Step, batch: Batch) -> Step:
    """Return a step with the statistics over a batch, and with the finite-size terms of batch norm."""
    if network.batch == np.inf:
        return replace(step, varying=step.moments.square - step.moments.mean**2)
    samples = int(network.batch)
    argument = float(batch.varying / (batch.varying + network.epsilon)) if batch.varying else 0.0
    means, both = (
        normalized(network.phi, samples, centred=True, variance=argument),
        pair(network.phi, samples, variance=argument),
    )
    rate = batch_rate(means, both, samples=samples, unequal=batch.unequal)
    return replace(
        step,
        moments=_broadcast(means.moments, step.rate),
        rate=rate * step.rate,
        varying=np.full_like(step.rate, float(means.moments.square) - both.value),
        noise=2 / max(samples - 5, 1),
    )


def positions_of(signal: Array) -> int:
    """Return the number of positions of a map [..., h, w]."""
    return signal.shape[-2] * signal.shape[-1]


def _broadcast(moments: Moments, like: Array) -> Moments:
    return Moments(*(np.full_like(like, float(getattr(moments, field.name))) for field in fields(moments)))


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


def passed(network: Network, step: Step, batch: Batch) -> Batch:
    """Return the statistics over the batch after a normalization, an activation and an affine map.

    Samples sum to 0 after batch norm, so any two have a correlation of -1 / (batch - 1). Deviations from that shrink by
    E[phi']^2 / Var[phi], and each layer's finite width adds new ones.
    """
    remaining = float((step.moments.slope**2 / np.maximum(step.varying, 1e-300)).mean())
    unequal = min(remaining, 1.0) ** 2 * batch.unequal + noise(network, step.affine)
    size_spread = size_growth(network.phi) ** 2 * batch.size_spread + 2 / step.affine.width
    return Batch(float(step.affine.linear(step.varying).mean()), unequal, min(size_spread, 1e9))


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


def noise(network: Network, affine: Affine) -> float:
    """Return by how much a random map to finitely many units makes equal distances between samples unequal."""
    return 0.0 if network.unequal is None else network.batch / affine.width


def added(skip: Batch, branch: Batch, scale: float) -> Batch:
    """Return the statistics over the batch of x + a F(x), a^2 = scale."""
    varying = skip.varying + scale * branch.varying
    share = scale * branch.varying / varying if varying else 0.0
    # skip and branch are taken to deviate in the same samples, so standard deviations add up, not variances
    unequal, size_spread = (
        ((1 - share) * of_skip**0.5 + share * of_branch**0.5) ** 2
        for of_skip, of_branch in ((skip.unequal, branch.unequal), (skip.size_spread, branch.size_spread))
    )
    return Batch(varying, unequal, size_spread)
