"""Numbers as text, also where float64 cannot hold the quotient of two of them."""

from collections.abc import Mapping
from decimal import Decimal
from math import isfinite

from numpy import ma

from gradlab.errors import short as short

_PLAIN = {"none", "true", "false", "null", ""}  # values that say nothing without their key
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(exponent: float) -> str:
    """Return ``10⁻³`` for -3: text that needs no formula renderer and stays text in an SVG."""
    return f"10{str(round(exponent)).translate(_SUPERSCRIPTS)}"


def quotient(part: float, whole: float, *, digits: int = 3) -> str:
    """Return ``part / whole`` in a few significant digits, exact in range: 1e-300 over 1e300 is ``1e-600``.

    Where the quotient does not exist the text is ``nan``.
    """
    if not (isfinite(part) and isfinite(whole)) or whole == 0:
        return "nan"
    ratio = Decimal(part) / Decimal(whole)
    # float() prints ordinary ratios plainly, Decimal those that a float would round to 0 or to infinity.
    if ratio == 0 or Decimal("1e-300") < abs(ratio) < Decimal("1e300"):
        return short(float(ratio), digits=digits)
    mantissa, exponent = f"{ratio:.{digits - 1}e}".split("e")
    return f"{float(mantissa):g}e{exponent}"


def condition(value: float, *, digits: int = 2) -> str:
    """Return the value in a few digits, or in words where it is zero, not finite or masked."""
    if value is ma.masked:
        return "not measured"
    if not isfinite(value):
        return "not finite"
    return "exactly 0" if value == 0 else short(value, digits=digits)


def label(values: Mapping[str, str]) -> str:
    """Return a config in words: ``relu, depth 20`` for activation=relu, model.depth=20."""
    return ", ".join(value if _speaks(value) else f"{key.split('.')[-1]} {value}" for key, value in values.items())


def _speaks(value: str) -> bool:
    return value not in _PLAIN and not value[:1].isdigit() and value[:1] not in "-.["
