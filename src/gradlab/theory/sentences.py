"""What run.json says under ``theory``, in two lines."""

from collections.abc import Mapping
from math import sqrt
from typing import Any


def in_words(theory: Mapping[str, Any] | str | None) -> list[str]:
    """Return the prediction and the measurement, a line each; or why there is no prediction; or nothing.

    Args:
        theory: Content of run.json under that key.
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
        first += f"; it assumes {' and '.join(theory['assumes'])}"
    if measured is None:
        return [first, "measured: nothing to compare with"]
    second = f"measured: {_rate(measured, place)}, {_short(measured['gradient_ratio'])}"
    if theory["agreement"] is None and tolerance is None:
        return [first, f"{second}: not compared, because of what theory assumes"]
    verdict = {True: "agrees", False: "does NOT agree", None: "too small a network to tell"}[theory["agreement"]]
    off = f"the growth of ln |g|^2 is off by {theory['difference']:.2g}, theory allows {tolerance:.2g}"
    return [first, f"{second}: {verdict} ({off})"]


def _rate(figures: Mapping[str, Any], place: str) -> str:
    factor = figures["factor"]
    return "no rate" if factor is None else f"x {sqrt(factor):.3g} per {place}"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else f"{float(f'{value:.3g}'):g}"
