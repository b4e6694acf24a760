import numpy as np
import pytest

from gradlab.view.format import condition, power_of_ten, quotient, short


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.23571, "0.236"), (1.9e-31, "1.9e-31"), (1234.5, "1230"), (0.0, "0"), (1e300, "1e+300"), (float("nan"), "nan")],
)
def test_three_significant_digits(value, text):
    assert short(value) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (1.0, 4.0, "0.25"), (1e-300, 1e300, "1e-600"), (2.5e300, 1e-300, "2.5e+600"), (0.0, 2.0, "0"),
        (1.0, 0.0, "nan"), (float("inf"), 1.0, "nan"), (1.0, float("nan"), "nan"),
    ],
)  # fmt: skip
def test_quotients_beyond_the_range_of_doubles(part, whole, text):
    assert quotient(part, whole) == text


def test_conditions_are_words():
    values = (0.0, float("inf"), float("nan"), 0.0123, np.ma.masked)
    assert [condition(value) for value in values] == [
        "exactly 0", "not finite", "not finite", "0.012", "not measured",
    ]  # fmt: skip


def test_powers_of_ten_are_plain_text():
    assert power_of_ten(-31) == "10⁻³¹"
