"""Rules about the sizes of signal and gradient across the layers."""

from math import log10

import numpy as np

from gradlab.diagnosis.evidence import Array, Evidence, at_end
from gradlab.diagnosis.flow import DEPTH, TIME, Axis, diagnose_flow, measure_flow
from gradlab.diagnosis.progress import Progress
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.diagnosis.units import dead_layers
from gradlab.diagnosis.verdict import Verdict, places, short

FLOW_SOURCE = "Hochreiter 1991; Glorot & Bengio 2010; threshold after AutoTrainer (Zhang et al. 2021)"
_INITIALIZATION = "Glorot & Bengio 2010; He et al. 2015, eq. 10"


def gradient_flow(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect gradients that vanish, explode, are zero or not finite, over depth and over time.

    The untrained net is judged by its single step, the end of the run by the median of several. A net that has learned
    is not judged, because all gradients are small after convergence.
    """
    if progress.learned:
        return []
    received = evidence.column(evidence.received)
    recorded = np.isfinite(evidence.column("preactivation_norm")).any(axis=0) | (~np.isnan(received)).any(axis=0)
    depths = [int(depth) for depth in evidence.depths[: evidence.hidden][recorded]]
    times = list(range(evidence.times.shape[1]))
    tables = [
        (DEPTH, depths, received[:, recorded], evidence.steps, evidence.received),
        (TIME, times, evidence.times, evidence.time_steps, "hidden_grad_norm"),
    ]
    verdicts: dict[tuple[str, str], Verdict] = {}
    for axis, where, table, steps, column in tables:
        if not len(table) or table.shape[1] < 2:
            continue
        for norms, step in ((table[0], steps[0]), (at_end(table), steps[-1])):
            verdict = _judge(where, norms, evidence, limits, axis=axis, step=int(step), column=column)
            if verdict is not None:  # a fault of the untrained net is not reported again at the end
                verdicts.setdefault((verdict.name, axis.name), verdict)
    return list(verdicts.values())


def _judge(
    where: list[int], norms: Array, evidence: Evidence, limits: Thresholds, *, axis: Axis, step: int, column: str
) -> Verdict | None:
    if np.isnan(norms).any():  # nan means "not measured", not a gradient that is nan
        measured = ~np.isnan(norms)
        where, norms = [place for place, keep in zip(where, measured, strict=True) if keep], norms[measured]
    sizes = [float(size) for size in norms]
    verdict = diagnose_flow(where, sizes, limits, smallest=evidence.setting.smallest, axis=axis)
    if verdict.name in ("healthy", "shallow"):
        return None
    return detailed(verdict, where, sizes, limits, axis=axis, step=step, column=column)


def detailed(
    verdict: Verdict,
    where: list[int],
    norms: list[float],
    limits: Thresholds,
    *,
    axis: Axis,
    step: int,
    column: str,
) -> Verdict:
    """Return a verdict on a flow with its figures: the ratio and the affected layers.

    Args:
        verdict: Result of `diagnose_flow`.
        where: depth_index of each hidden layer, or each time step.
        norms: Gradient norm at each place.
        limits: Thresholds of the ratio.
        axis: Depth or time.
        step: Step at which the norms were recorded.
        column: Column of the norms.
    """
    ratio = measure_flow(where, norms).ratio if len(norms) > 1 else None
    last = norms[-1] if norms else 0.0
    is_affected = {
        "vanishing": lambda size: size < limits.vanishing_ratio * last,
        "exploding": lambda size: size > limits.exploding_ratio * last,
        "zero": lambda size: size == 0,
        "not_finite": lambda size: not np.isfinite(size),
    }.get(verdict.name, lambda size: False)
    threshold = {"vanishing": limits.vanishing_ratio, "exploding": limits.exploding_ratio}.get(verdict.name)
    layers = tuple(place for place, size in zip(where, norms, strict=True) if is_affected(size))
    return Verdict(
        name=verdict.name,
        sentence=verdict.sentence,
        over=axis.name,
        step=step,
        layers=layers if axis is DEPTH else (),
        column=column,
        value=ratio,
        threshold=threshold,
        source=FLOW_SOURCE,
    )


def poor_initialization(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect initial weights that are zero, or so small or large that the signal dies out or blows up.

    With normalization the weights do not determine the signal's size, and skips carry it past them. Such nets are
    checked for weights of zero only, and those with skips not at all.
    """
    if progress.learned or not evidence.begins:
        return []
    weights = evidence.column("weight_norm")[0]
    if (weights == 0).any() and evidence.setting.residual in ("", "none"):
        layers = evidence.where(weights == 0)
        sentence = f"poor initialization: the weights of {places(layers)} are exactly zero, so no signal gets past them"
        return [_initial("poor_initialization", sentence, layers, "weight_norm", 0.0, 0.0)]
    if not evidence.plain or dead_layers(evidence, 0, limits).any():  # z after dead layers is no measure of weights
        return []
    signal = evidence.column("preactivation_std")[0]
    measured = np.flatnonzero(np.isfinite(signal))
    if len(measured) > 1 and signal[measured[0]] > 0:
        ratio = float(signal[measured[-1]] / signal[measured[0]])
        if not 1 / limits.signal_ratio <= ratio <= limits.signal_ratio:
            first, last = (int(evidence.depths[index]) for index in (measured[0], measured[-1]))
            factor = 10 ** (log10(ratio) / (last - first)) if ratio > 0 else 0.0
            what, limit = ("large", limits.signal_ratio) if ratio > 1 else ("small", 1 / limits.signal_ratio)
            sentence = (
                f"poor initialization: the initial weights are too {what}, z of layer {last} is {short(ratio)} times "
                f"layer {first}'s (x {factor:.3g} per layer)"
            )
            layers = tuple(int(evidence.depths[index]) for index in measured)
            return [_initial("poor_initialization", sentence, layers, "preactivation_std", ratio, limit)]
    return []


def batch_norm_explosion(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect the gradient growth that batch norm causes in a deep net without skips, whatever its weights."""
    setting = evidence.setting
    if progress.learned or not evidence.begins or (setting.normalization, setting.residual) != ("batch_norm", "none"):
        return []
    norms = evidence.column(evidence.received)[0]
    valid = np.isfinite(norms) & (norms > 0)
    if valid.sum() < 2:
        return []
    flow = measure_flow([int(depth) for depth in evidence.where(valid)], [float(norm) for norm in norms[valid]])
    growth = 10**-flow.decades_per_layer
    if flow.ratio <= limits.exploding_ratio or growth < limits.batch_norm_growth:
        return []
    sentence = (
        f"gradients explode through batch norm: without skips they grow x {growth:.3g} per layer on the way back, "
        f"x {short(flow.ratio)} in all"
    )
    return [
        Verdict(
            name="batch_norm_explosion", sentence=sentence, layers=evidence.where(valid), column=evidence.received,
            value=growth, threshold=limits.batch_norm_growth,
            source="Yang et al. 2019: a wide relu net grows by sqrt(pi / (pi - 1)) = 1.21 per layer",
        )
    ]  # fmt: skip


def exploding_activations(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect outputs of the untrained net that are far too large, and layers whose z grows too much in training."""
    if progress.learned or not len(evidence.steps):
        return []
    signal = evidence.column("preactivation_std", head=True)
    if evidence.begins:
        output_std = signal[0, -1] if signal.shape[1] > evidence.hidden else np.nan
        chance = evidence.setting.chance
        # large outputs alone may suit a regression on large targets, so the first loss must be large as well
        large_loss = chance is None or not progress.first <= limits.first_loss * chance
        if limits.output_std <= output_std < np.inf and large_loss:
            sentence = (
                f"activations explode: the untrained net's outputs have a standard deviation of {short(output_std)}"
            )
            head, value = (int(evidence.depths[-1]),), float(output_std)
            return [_initial("exploding_activations", sentence, head, "preactivation_std", value, limits.output_std)]
    first, last = signal[0], at_end(signal)
    # relative to the largest layer of the untrained net: relative to a layer whose signal had died, any z is large
    largest = np.max(first[np.isfinite(first)], initial=0.0)
    growth = last / largest if largest > 0 else np.full(len(last), np.nan)
    grown = np.nan_to_num(growth, nan=0.0) > limits.growth_in_training
    if not grown.any():
        return []
    worst, layers = float(np.nanmax(growth)), evidence.where(grown)
    sentence = f"activations explode: z of {places(layers)} grew to {short(worst)} times the untrained net's largest"
    return [
        Verdict(
            name="exploding_activations", sentence=sentence, over="training", step=int(evidence.steps[-1]),
            layers=layers, column="preactivation_std", value=worst, threshold=limits.growth_in_training,
            source=_INITIALIZATION,
        )
    ]  # fmt: skip


def _initial(name: str, sentence: str, layers: tuple[int, ...], column: str, value: float, threshold: float) -> Verdict:
    return Verdict(
        name=name, sentence=sentence, layers=layers, column=column, value=value, threshold=threshold,
        source=_INITIALIZATION,
    )  # fmt: skip
