"""Check of plain JSON content against a shape, so that readers of a damaged file raise one error that names the key."""

from collections.abc import Mapping
from typing import Any

# A shape is a type, a tuple of alternatives (None for null), a list of one shape for each item, or a dictionary of the
# shapes of its keys: "*" stands for any other key, and a key that ends in "!" is required.
Shape = Any
NUMBER = "number"  # an int or a float, or a float that JSON does not have as a string
_NO_JSON = ("nan", "inf", "-inf")
_NAMES = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    dict: "an object",
    NUMBER: "a number",
    None: "null",
}


def misfit(value: Any, shape: Shape, where: str = "") -> str | None:
    """Return where a value first differs from a shape, and what would be right; None if it fits.

    Args:
        value: Plain content of a JSON file.
        shape: The shape that its readers rely on.
        where: Dotted key of the value.
    """
    if isinstance(shape, tuple):
        problems = [misfit(value, alternative, where) for alternative in shape]
        if None in problems:
            return None
        deeper = next((text for text in problems if text and not text.startswith(f"{where} must")), None)
        return deeper or f"{where} must be {' or '.join(_name(item) for item in shape if item is not None)}"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where} must be a list"
        problems = (misfit(item, shape[0], f"{where}.{index}") for index, item in enumerate(value))
        return next((text for text in problems if text), None)
    if isinstance(shape, dict):
        return _misfit_of_keys(value, shape, where)
    return None if _fits(value, shape) else f"{where} must be {_name(shape)}"


def _misfit_of_keys(value: Any, shape: Mapping[str, Shape], where: str) -> str | None:
    if not isinstance(value, dict):
        return f"{where} must be an object"
    for key in (key[:-1] for key in shape if key.endswith("!")):
        if key not in value:
            return f"{where} lacks {key}".lstrip()
    for key, item in value.items():
        expected = shape.get(key, shape.get(f"{key}!", shape.get("*")))
        if expected is not None and (text := misfit(item, expected, f"{where}.{key}".lstrip("."))):
            return text
    return None


def _fits(value: Any, shape: Shape) -> bool:
    if shape is None:
        return value is None
    if shape is NUMBER:
        return value in _NO_JSON if isinstance(value, str) else _fits(value, int) or isinstance(value, float)
    if shape is int:  # readers put integers into arrays of 64 bits
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, shape)


def _name(shape: Shape) -> str:
    return "a list" if isinstance(shape, list) else _NAMES[dict if isinstance(shape, dict) else shape]
