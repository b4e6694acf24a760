"""The gradient flow of one step: how the gradient's size changes over depth or time, and a verdict in one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite, isnan, log10, nan, sqrt
from statistics import linear_regression, stdev

from gradlab.diagnosis.thresholds import Thresholds
from gradlab.diagnosis.verdict import Verdict, places, short

FLOW = ("healthy", "shallow", "vanishing", "exploding", "zero", "not_finite")  # names of the verdicts on the flow
FLOAT32_SMALLEST = 1.1754943508222875e-38  # smallest normal number


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Words for the axis along which a gradient is followed.

    Attributes:
        name: ``depth`` or ``time``.
        place: Word for one place on the axis.
        every: Word for one of the compared places.
        title: Start of a sentence about this axis; empty for depth.
    """

    name: str
    place: str
    every: str
    title: str = ""


DEPTH = Axis(name="depth", place="layer", every="hidden layer")
TIME = Axis(name="time", place="time step", every="time step", title="over time, ")


@dataclass(frozen=True, kw_only=True)
class Flow:
    """How the gradient's size changes with depth, or time, at one step.

    Attributes:
        ratio: Norm at the first place over the norm at the last; nan if there is none.
        decades_per_layer: Least-squares slope of log10 of the norm against depth: POSITIVE where the gradient shrinks
            on its way back to layer 1. Layers whose norm is zero or not finite are left out; nan with fewer than two.
        low: Lower end of the slope's 95% interval.
        high: Upper end of the slope's 95% interval.
    """

    ratio: float
    decades_per_layer: float
    low: float
    high: float


def measure_flow(depths: Sequence[int], norms: Sequence[float]) -> Flow:
    """Measure the growth of the gradient's norm with depth, or time.

    Each layer multiplies the norm by a random factor, so log10 of the norm is a random walk in depth. The interval is
    therefore computed from the scatter of the steps between neighbours: the least-squares slope of a random walk of n
    steps has 6/5 times the variance of their mean. Residuals of the straight line would understate it.

    Args:
        depths: depth_index of each hidden layer, or each time step, ascending.
        norms: Gradient norm at each place.
    """
    points = [(d, log10(g)) for d, g in zip(depths, norms, strict=True) if isfinite(g) and g > 0]
    ratio = _quotient(norms[0], norms[-1]) if norms else nan
    if len(points) < 2:
        return Flow(ratio=ratio, decades_per_layer=nan, low=nan, high=nan)
    xs, ys = zip(*points, strict=True)
    slope = linear_regression(xs, ys).slope
    steps = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairwise(points)]
    if len(steps) < 2:
        return Flow(ratio=ratio, decades_per_layer=slope, low=nan, high=nan)
    from scipy.special import stdtrit  # slow to import

    half = float(stdtrit(len(steps) - 1, 0.975)) * stdev(steps) * sqrt(1.2 / len(steps))
    return Flow(ratio=ratio, decades_per_layer=slope, low=slope - half, high=slope + half)


def diagnose_flow(
    depths: Sequence[int],
    norms: Sequence[float],
    thresholds: Thresholds,
    *,
    smallest: float = FLOAT32_SMALLEST,
    axis: Axis = DEPTH,
    of: str = "",
) -> Verdict:
    """Return a verdict on whether the gradient reaches the first hidden layer, or time step.

    Args:
        depths: depth_index of each hidden layer, or each time step, ascending.
        norms: dL/dz norm of each layer (dL/dh in a network with skips); dL/dh_t or dL/dc_t of each time step.
        thresholds: Ratios below and above which the gradient vanishes or explodes.
        smallest: Smallest normal number of the gradients' type; zeros next to gradients near it mean underflow.
        axis: Depth or time.
        of: What the norms are of, such as ``dL/dh``, to be named in the sentence; by default it is not named.
    """
    verdict = _diagnose(depths, norms, thresholds, smallest=smallest, axis=axis, of=of)
    return replace(verdict, sentence=axis.title + verdict.sentence)


def _diagnose(
    depths: Sequence[int], norms: Sequence[float], thresholds: Thresholds, *, smallest: float, axis: Axis, of: str
) -> Verdict:
    if len(norms) < 2:
        return Verdict(name="shallow", sentence=f"fewer than two {axis.every}s were recorded: nothing to compare")
    broken = [d for d, g in zip(depths, norms, strict=True) if not isfinite(g)]
    if broken:
        return Verdict(name="not_finite", sentence=f"gradients are not finite in {_places(broken, axis)}")
    zeros = [d for d, g in zip(depths, norms, strict=True) if g == 0]
    if len(zeros) == len(norms):
        return Verdict(name="zero", sentence=f"no gradient: it is exactly zero in every {axis.every}")
    if 0 in (norms[0], norms[-1]):
        # the norm of a whole tensor is above its largest entry, hence the margin
        underflow = min(g for g in norms if g > 0) < 1e4 * smallest
        return _zero_verdict(
            _places(zeros, axis), vanished=norms[0] == 0, underflow=underflow, wide=smallest < FLOAT32_SMALLEST
        )
    flow = measure_flow(depths, norms)
    factor = 10**-flow.decades_per_layer
    tail = f"; exactly zero in {_places(zeros, axis)}" if zeros else ""
    share = f"{axis.place} {depths[0]} receives {short(flow.ratio)} of {axis.place} {depths[-1]}'s gradient"
    flat = f"{share} ({of and f'{of}, '}x {factor:.3g} per {axis.place}){tail}"
    if flow.ratio < thresholds.vanishing_ratio:
        return Verdict(name="vanishing", sentence=f"gradients vanish: {flat}")
    if flow.ratio > thresholds.exploding_ratio:
        return Verdict(name="exploding", sentence=f"gradients explode: {flat}")
    return Verdict(name="healthy", sentence=f"gradients are healthy: {flat}")


def _zero_verdict(where: str, *, vanished: bool, underflow: bool, wide: bool) -> Verdict:
    why = "nothing gets through"
    if underflow:
        why = "float64 underflow" if wide else "float32 underflow; train.dtype=float64 shows their size"
    return Verdict(
        name="vanishing" if vanished else "zero",
        sentence=f"gradients {'vanish' if vanished else 'are missing'}: exactly zero in {where} ({why})",
    )


def _quotient(numerator: float, denominator: float) -> float:
    if denominator == 0:
        return nan if numerator == 0 or isnan(numerator) else numerator * float("inf")
    return numerator / denominator


def _places(indices: Sequence[int], axis: Axis) -> str:
    return places(list(indices), axis.place)
