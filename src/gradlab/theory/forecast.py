"""Comparison of a prediction with a measurement: growth per layer, ratio, tolerance, agreement."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, inf, isfinite, log, nan, sqrt
from typing import Any

import numpy as np

from gradlab.theory.gaussian import Array
from gradlab.theory.mean_field import chi, decades, depth_scale, fixed_point, tolerance
from gradlab.theory.network import Network
from gradlab.theory.profile import Profile

ROUNDING = 1e-5  # error of a slope of ln ||g||^2 that float32 may cause
# A limit above the predicted growth would also admit no growth at all. It still decides where the prediction is that
# the norm hardly changes, by less than `FLAT` decades over all places, and the limit is below `WIDEST`.
FLAT, WIDEST = 0.3, 0.5
_FEWEST_CHANGES = 5  # of a layer's gradient to the next: their scatter is not estimated from fewer
_CONFIDENCE = 0.9995
_SLOPE_OF_WALK = 1.2  # variance of the least-squares slope of a random walk, over that of its mean step


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A prediction for a network at initialization.

    Attributes:
        over: ``depth`` or ``time``.
        column: The recorded column of norms that is predicted.
        places: depth_index of each layer, or each time step, ascending.
        log_gradients: Natural log of the squared norm at each place, relative to the last.
        variances: Second moment of z at each place; empty if z is not predicted.
        entries: Number of entries of a sample's z at each place; empty if unknown.
        chi: Factor on the squared norm for one layer, or time step, back, deep in the network; nan if there is none.
        q_star: Variance of z at its fixed point in deep layers; nan if there is none.
        tolerance: Largest expected distance of the measured growth from the predicted one; nan if the prediction rests
            on assumptions that may not hold.
        assumes: These assumptions, in words.
        systematic: Size of the effects of finite width that are the same at every place and not in the prediction; nan
            where the errors of neighbouring places are not independent.
    """

    over: str = "depth"
    column: str = "preactivation_grad_norm"
    places: Sequence[int]
    log_gradients: Sequence[float]
    variances: Sequence[float] = ()
    entries: Sequence[int] = ()
    chi: float = nan
    q_star: float = nan
    tolerance: float
    assumes: Sequence[str] = field(default_factory=tuple)
    systematic: float = nan


def growth(places: Sequence[int], log_squares: Sequence[float]) -> float:
    """Return the least-squares slope of ln ||g||^2 for one place BACK, negative where gradients vanish.

    Args:
        places: depth_index of each layer, or each time step.
        log_squares: ln ||g||^2 at each place; with fewer than two, or one that is not finite, the slope is nan.
    """
    if len(places) < 2 or not np.isfinite(log_squares).all():
        return nan
    return -float(np.polyfit(np.asarray(places) - places[0], np.asarray(log_squares), 1)[0])


def random_walk(walk: float, *, width: float, places: int, sensitivity: float = 0.0) -> float:
    """Return the tolerance of a growth: `mean_field.tolerance` plus the rounding of float32."""
    return tolerance(max(walk, 0.0), width=width, depth=places, sensitivity=sensitivity) + ROUNDING


def deep(network: Network, profile: Profile) -> tuple[float, float]:
    """Return (chi, q*) deep in a network.

    For a plain network without normalization they are those of its fixed point. For others chi is the factor of the
    last block, per layer of it, and q* is nan.
    """
    if network.scales is None and network.normalization == "none":
        affines = [affine for block in network.blocks for affine in block]
        weight = float(np.mean([affine.weight_variance for affine in affines]))
        bias = float(np.mean([affine.bias_variance for affine in affines]))
        # the measured variance of n random weights has a relative error of sqrt(2 / n), so a smaller drift is none
        count = sum(affine.width**2 for affine in affines)
        close = 4 * (2 / count) ** 0.5
        start = profile.variances[0]
        q = fixed_point(network.phi, weight_variance=weight, bias_variance=bias, start=start, close=close)
        bounded = min(max(q, 1e-10), 1e12)  # q may be 0 or inf, where chi has a limit but no value
        return chi(network.phi, bounded, weight_variance=weight), q
    last = profile.log_gradients if network.scales is None else profile.log_outputs
    layers = 1 if network.scales is None else max(len(network.blocks[-1]), 1)
    back = (last[-2] - last[-1]) / layers if len(last) > 1 else nan
    return (exp(back) if isfinite(back) and back < 700 else nan), nan


def compare(
    forecast: Forecast, norms: Sequence[float | None] | None, *, z_norms: Sequence[float | None] = (), samples: int = 1
) -> dict[str, Any]:
    """Return the content of run.json under ``theory``.

    Layers whose gradient was not measured, is zero or is not finite are left out of both growths, because the
    measurement is limited by float32's range and the prediction is not.

    Args:
        forecast: The prediction.
        norms: The recorded norms at the prediction's places; None if nothing was recorded.
        z_norms: Norms of z over the batch at the same places.
        samples: Number of samples in the batch.
    """
    values = None if norms is None else [nan if norm is None else norm for norm in norms]
    span = forecast.places[-1] - forecast.places[0]
    valid = [i for i, norm in enumerate(values or ()) if norm > 0 and isfinite(norm)]
    compared = valid if len(valid) > 1 else list(range(len(forecast.places)))
    places = [forecast.places[i] for i in compared]
    predicted = growth(places, [forecast.log_gradients[i] for i in compared])
    places_name = "depth_index" if forecast.over == "depth" else forecast.over
    measurement = None
    difference, limit = nan, forecast.tolerance
    if values is not None and len(valid) > 1:
        logs = [2 * log(values[i]) for i in compared]
        measurement = {"log_growth": growth(places, logs), "gradient_ratio": _ratio(values), places_name: places}
        measurement |= {
            "factor": _exp(measurement["log_growth"]),
            "log_gradients": [value - logs[-1] for value in logs],
        }
        if len(z_norms) == len(forecast.entries) == len(values):
            pairs = zip(z_norms, forecast.entries, strict=True)
            measurement["variances"] = [None if z is None else z**2 / (samples * entries) for z, entries in pairs]
        difference = measurement["log_growth"] - predicted
        errors = np.subtract(logs, [forecast.log_gradients[i] for i in compared])
        limit = min(limit, _scatter(forecast, np.diff(errors) / np.diff(places)))
    first = forecast.log_gradients[0]
    return {
        "over": forecast.over,
        "column": forecast.column,
        "prediction": {
            "log_growth": _none_if_nan(predicted),
            "factor": _none_if_nan(_exp(predicted)),
            "gradient_ratio": _exp(first / 2),
            "chi": _none_if_nan(forecast.chi),
            "q_star": _none_if_nan(forecast.q_star),
            "depth_scale": depth_scale(forecast.chi) if isfinite(forecast.chi) else None,
            places_name: list(forecast.places),
            "log_gradients": list(forecast.log_gradients),
            "variances": list(forecast.variances),
        },
        "measurement": measurement,
        "difference": _none_if_nan(difference),
        "tolerance": _none_if_nan(forecast.tolerance),
        "limit": _none_if_nan(limit),
        "difference_decades": _none_if_nan(decades(difference * span)),
        "limit_decades": _none_if_nan(decades(limit * span)),
        "agreement": _agreement(difference, limit, predicted, span=span),
        "assumes": list(forecast.assumes),
    }


def _scatter(forecast: Forecast, changes: Array) -> float:
    """Return the difference of growths that the scatter of the measured layers admits; inf if they are too few.

    The tolerance is that of one sample. A batch of samples, or of positions, averages over part of it, by how much
    depends on their correlation. So the variance is also estimated from the measurement: a random walk around a right
    prediction has steps of mean 0. A wrong prediction has steps of another mean, not of larger variance.

    Args:
        forecast: The prediction.
        changes: Errors of the predicted ln ||g||^2, each less that of the place before.
    """
    if not len(changes) >= _FEWEST_CHANGES or not isfinite(forecast.systematic):
        return inf
    from scipy.special import stdtrit  # slow to import

    deviation = float(changes.std(ddof=1))
    quantile = float(stdtrit(len(changes) - 1, _CONFIDENCE))
    # the mean of a logarithm is half its variance below the logarithm of the mean
    return deviation**2 / 2 + quantile * deviation * sqrt(_SLOPE_OF_WALK / len(changes)) + forecast.systematic


def _agreement(difference: float, limit: float, predicted: float, *, span: int) -> bool | None:
    """Return whether prediction and measurement agree; None if the limit is unknown or too wide to decide.

    Args:
        difference: Measured less predicted growth of ln ||g||^2 per place.
        limit: Largest expected size of the difference.
        predicted: Predicted growth.
        span: Number of places over which the gradient grows.
    """
    if not isfinite(difference + limit):
        return None
    if abs(difference) > limit:
        return False
    flat = abs(decades(predicted * span)) < FLAT and limit < WIDEST
    return True if flat or limit < abs(predicted) else None


def _ratio(norms: Sequence[float]) -> float:
    first, last = norms[0], norms[-1]
    return first / last if last else nan


def _exp(value: float) -> float:
    return inf if value > 700 else exp(value)  # `exp` raises OverflowError above 709


def _none_if_nan(value: float) -> float | None:
    return None if value != value else value
