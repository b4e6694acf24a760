"""A prediction beside what was measured: growth per layer, ratio, tolerance, agreement."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, inf, isfinite, log, nan
from typing import Any

import numpy as np

from gradlab.theory.mean_field import chi, depth_scale, fixed_point, tolerance
from gradlab.theory.profile import Network, Profile

ROUNDING = 1e-5  # what float32 may add to a slope of ln ||g||^2
# A tolerance above this, a factor 1.3 of the norm at every layer, and above the predicted growth itself too, would call
# anything an agreement: of very narrow networks, and of few layers.
TELLING = 0.5


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What theory says of a network at initialization.

    Attributes:
        over: ``depth`` or ``time``.
        column: The recorded column of norms that it is about.
        places: depth_index of each layer, or each time step, ascending.
        log_gradients: Natural log of the squared norm at each, over the last one's.
        variances: Second moment of z at each; empty where it is not about z.
        entries: Number of numbers in a sample's z at each, as far as known.
        chi: Factor on the squared norm for one layer, or time step, back, deep in the network; nan where there is none.
        q_star: Variance of z that deep layers settle on; nan where there is none.
        tolerance: How far the measured growth may lie from the predicted one; nan where theory does not vouch for it,
            because it assumes more than it can know.
        assumes: What it assumes.
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


def growth(places: Sequence[int], log_squares: Sequence[float]) -> float:
    """Return the least-squares slope of ln ||g||^2 for one place BACK, negative where gradients vanish.

    Args:
        places: depth_index of each layer, or each time step.
        log_squares: ln ||g||^2 at each; with fewer than two, or one that is not finite, the slope is nan.
    """
    if len(places) < 2 or not np.isfinite(log_squares).all():
        return nan
    return -float(np.polyfit(np.asarray(places) - places[0], np.asarray(log_squares), 1)[0])


def random_walk(walk: float, *, width: float, places: int, sensitivity: float = 0.0) -> float:
    """Return the tolerance of a growth: `tolerance`, and the rounding of float32."""
    return tolerance(max(walk, 0.0), width=width, depth=places, sensitivity=sensitivity) + ROUNDING


def deep(network: Network, found: Profile) -> tuple[float, float]:
    """Return (chi, q*) deep in a network.

    A plain network without normalization has them at its fixed point; others have the factor of their last block, for
    each of its layers, and no fixed point that is looked for.
    """
    if network.scales is None and network.normalization == "none":
        affines = [affine for block in network.blocks for affine in block]
        weight = float(np.mean([affine.weight_variance for affine in affines]))
        bias = float(np.mean([affine.bias_variance for affine in affines]))
        # The measured variance of n random weights is off by sqrt(2 / n): a length that drifts by less stays.
        count = sum(affine.width**2 for affine in affines)
        close = 4 * (2 / count) ** 0.5
        q = fixed_point(network.phi, weight_variance=weight, bias_variance=bias, start=found.variances[0], close=close)
        there = min(max(q, 1e-10), 1e12)
        return chi(network.phi, there, weight_variance=weight), q
    last = found.log_gradients if network.scales is None else found.log_outputs
    layers = 1 if network.scales is None else max(len(network.blocks[-1]), 1)
    back = (last[-2] - last[-1]) / layers if len(last) > 1 else nan
    return (exp(back) if isfinite(back) and back < 700 else nan), nan


def compare(
    forecast: Forecast, norms: Sequence[float | None] | None, *, z_norms: Sequence[float | None] = (), samples: int = 1
) -> dict[str, Any]:
    """Return what run.json says under ``theory``.

    Layers whose gradient was not measured, is zero or is not finite are left out of both growths, because float32 ends
    there and theory does not.

    Args:
        forecast: The prediction.
        norms: The recorded norms at its places; None where nothing was recorded.
        z_norms: Norms of z over the batch at its places.
        samples: Number of samples that they are over.
    """
    measured = None if norms is None else [nan if norm is None else norm for norm in norms]
    seen = [i for i, norm in enumerate(measured or ()) if norm > 0 and isfinite(norm)]
    kept = seen if len(seen) > 1 else list(range(len(forecast.places)))
    places = [forecast.places[i] for i in kept]
    predicted = growth(places, [forecast.log_gradients[i] for i in kept])
    places_name = "depth_index" if forecast.over == "depth" else forecast.over
    found = None
    difference = nan
    if measured is not None and len(seen) > 1:
        logs = [2 * log(measured[i]) for i in kept]
        found = {"log_growth": growth(places, logs), "gradient_ratio": _ratio(measured), places_name: places}
        found |= {"factor": _exp(found["log_growth"]), "log_gradients": [value - logs[-1] for value in logs]}
        if len(z_norms) == len(forecast.entries) == len(measured):
            pairs = zip(z_norms, forecast.entries, strict=True)
            found["variances"] = [None if z is None else z**2 / (samples * entries) for z, entries in pairs]
        difference = found["log_growth"] - predicted
    first = forecast.log_gradients[0]
    return {
        "over": forecast.over,
        "column": forecast.column,
        "prediction": {
            "log_growth": _known(predicted),
            "factor": _known(_exp(predicted)),
            "gradient_ratio": _exp(first / 2),
            "chi": _known(forecast.chi),
            "q_star": _known(forecast.q_star),
            "depth_scale": depth_scale(forecast.chi) if isfinite(forecast.chi) else None,
            places_name: list(forecast.places),
            "log_gradients": list(forecast.log_gradients),
            "variances": list(forecast.variances),
        },
        "measurement": found,
        "difference": _known(difference),
        "tolerance": _known(forecast.tolerance),
        "agreement": _agreement(difference, forecast.tolerance, predicted),
        "assumes": list(forecast.assumes),
    }


def _agreement(difference: float, tolerance: float, predicted: float) -> bool | None:
    """Return whether prediction and measurement agree; None where the tolerance is unknown, or too wide to tell."""
    if not isfinite(difference + tolerance):
        return None
    if abs(difference) > tolerance:
        return False
    return True if tolerance < max(TELLING, abs(predicted)) else None


def _ratio(norms: Sequence[float]) -> float:
    first, last = norms[0], norms[-1]
    return first / last if last else nan


def _exp(value: float) -> float:
    return inf if value > 700 else exp(value)


def _known(value: float) -> float | None:
    return None if value != value else value
