"""The size of the gradient at every layer of one network at initialization, from its layers' variances alone.

Plain networks (`mean_field`), normalized ones (batch norm: Yang et al. 2019, "A mean field theory of batch
normalization"), and residual blocks with nothing after the sum, x + a F(x) (Yang & Schoenholz 2017; De & Smith 2020).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf, log
from typing import Literal

from gradlab.theory.gaussian import Phi, mean
from gradlab.theory.mean_field import slope_kurtosis

Normalization = Literal["none", "features", "batch"]


@dataclass(frozen=True, kw_only=True)
class Affine:
    """One affine map: its weights' variance times fan_in, and its biases' variance."""

    weight_variance: float
    bias_variance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Network:
    """What theory needs to know of a network.

    Attributes:
        phi: The activation.
        stem: The first affine map.
        blocks: The affine maps of each block behind it; a plain network may be one block.
        scales: Factor a on each block's branch F in x + a F(x); None for a plain network.
        normalization: None, over the features of a sample (layer, RMS norm), or over the batch.
        epsilon: What the normalization adds to the variance.
        input_moment: Mean square of the inputs' entries.
        input_variance: Mean over the features of their variance over the batch.
    """

    phi: Phi
    stem: Affine
    blocks: Sequence[Sequence[Affine]]
    scales: Sequence[float] | None = None
    normalization: Normalization = "none"
    epsilon: float = 0.0
    input_moment: float = 1.0
    input_variance: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What theory says of each hidden layer on the main path, from the first to the last.

    Attributes:
        log_gradients: Natural log of E||dL/dz||^2, over that of the last hidden layer; -inf where nothing arrives.
        variances: Second moment of z.
        kurtosis: Mean over the layers of `slope_kurtosis`, for the tolerance at finite width.
    """

    log_gradients: list[float]
    variances: list[float]
    kurtosis: float


@dataclass(frozen=True)
class _Signal:
    """Second moment of a signal's entries, and its part that varies over the batch."""

    moment: float
    variance: float


def profile(network: Network) -> Profile:
    """Follow the signal forward and the gradient back.

    In residual blocks the terms of the skip and of the branch add up in square, because the branch's last weights have
    mean 0 and know nothing of the skip. Under batch norm, two samples are taken to be uncorrelated after the
    normalization, as in a large batch of different inputs.
    """
    signal = _apply(network.stem, _Signal(network.input_moment, network.input_variance))
    signals, backs, kurtoses = [signal], [], []
    for index, block in enumerate(network.blocks):
        branch, factors = signal, []
        for affine in block:
            argument, rate = _normalized(network, branch)
            factors.append(affine.weight_variance * mean(network.phi.slope, argument, power=2) * rate)
            kurtoses.append(slope_kurtosis(network.phi, argument))
            branch = _apply(affine, _activated(network, argument))
            signals.append(branch)
        if network.scales is None:
            signal, through = branch, _product(factors)
        else:
            scale = network.scales[index] ** 2
            signal = _Signal(signal.moment + scale * branch.moment, signal.variance + scale * branch.variance)
            through = 1 + scale * _product(factors)
        backs.append((factors, through))
    return Profile(
        log_gradients=_log_gradients(network, backs),
        variances=[each.moment for each in signals],
        kurtosis=sum(kurtoses) / len(kurtoses) if kurtoses else 0.0,
    )


def _log_gradients(network: Network, backs: Sequence[tuple[list[float], float]]) -> list[float]:
    """Return the log of each layer's squared gradient over the last one's, given the factors back through blocks."""
    found: list[float] = []
    log_output = 0.0  # of the gradient at the block's output, from the last block to the first
    for index in reversed(range(len(backs))):
        factors, through = backs[index]
        entry = 1.0 if network.scales is None else network.scales[index] ** 2
        inner = accumulate(reversed(factors[1:]), lambda product, factor: product * factor, initial=entry)
        found += [log_output + _log(product) for product in inner]
        log_output += _log(through)
    found.append(log_output)
    last = found[0]
    return [0.0 if value == last else value - last for value in reversed(found)]


def _apply(affine: Affine, signal: _Signal) -> _Signal:
    moment = affine.weight_variance * signal.moment + affine.bias_variance
    return _Signal(moment, affine.weight_variance * signal.variance)  # a bias is the same for all samples


def _normalized(network: Network, signal: _Signal) -> tuple[float, float]:
    """Return the variance of the activation's argument, and the squared slope of the normalization before it."""
    if network.normalization == "none":
        return signal.moment, 1.0
    size = (signal.moment if network.normalization == "features" else signal.variance) + network.epsilon
    return 1 - network.epsilon / size, 1 / size


def _activated(network: Network, argument: float) -> _Signal:
    moment = mean(network.phi.value, argument, power=2)
    return _Signal(moment, moment - mean(network.phi.value, argument) ** 2)


def _product(factors: Sequence[float]) -> float:
    return list(accumulate(factors, lambda product, factor: product * factor, initial=1.0))[-1]


def _log(value: float) -> float:
    return log(value) if value > 0 else -inf
