"""The content of run.json under ``theory`` in two lines of text."""

from collections.abc import Mapping
from math import sqrt
from typing import Any

from gradlab.errors import short


def in_words(theory: Mapping[str, Any] | str | None) -> list[str]:
    """Return one line for the prediction and one for the measurement, or the reason why there is no prediction.

    Args:
        theory: Content of run.json under ``theory``; None or "" gives no lines.
    """
    if theory is None or isinstance(theory, str):
        return [theory] if theory else []
    place = "layer" if theory["over"] == "depth" else "time step"
    predicted, measured, tolerance = theory["prediction"], theory["measurement"], theory["tolerance"]
    ends = predicted["depth_index"] if theory["over"] == "depth" else predicted["time"]
    details = [
        f"{name} {_short(predicted[key])}"
        for name, key in (("chi", "chi"), ("q*", "q_star"), ("depth scale", "depth_scale"))
        if predicted[key] is not None
    ]
    first = (
        f"theory: {_rate(predicted, place)}, {place} {ends[0]} receives {_short(predicted['gradient_ratio'])} of "
        f"{place} {ends[-1]}'s gradient ({', '.join(details)})"
    )
    if theory["assumes"]:
        first += f"; assumes {' and '.join(theory['assumes'])}"
    if measured is None:
        return [first, "measured: nothing was recorded to compare with"]
    second = f"measured: {_rate(measured, place)}, {_short(measured['gradient_ratio'])}"
    if tolerance is None:  # written by earlier versions for gates that move
        return [first, f"{second}: not compared, because the assumption may not hold"]
    verdict = {True: "agrees", False: "does NOT agree", None: "network too small to decide"}[theory["agreement"]]
    distance = _distance(theory)
    return [first, f"{second}: {verdict} ({distance})"]


def _distance(theory: Mapping[str, Any]) -> str:
    if theory.get("limit_decades") is None:  # written before these keys existed
        return f"the growth of ln |g|^2 differs by {theory['difference']:.2g}, tolerance {theory['tolerance']:.2g}"
    whole, allowed = (abs(theory[f"{name}_decades"]) for name in ("difference", "limit"))
    return f"over the whole net |g| differs by {whole:.2g} decades, at most {allowed:.2g} expected"


def _rate(figures: Mapping[str, Any], place: str) -> str:
    factor = figures["factor"]
    return "no rate" if factor is None else f"x {sqrt(factor):.3g} per {place}"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else short(value)  # run.json has "inf" and "nan" as strings
