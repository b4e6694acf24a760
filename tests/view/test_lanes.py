import numpy as np
import pytest
from matplotlib.figure import Figure

from gradlab.view import lanes

MIXED = np.ma.MaskedArray([1e-300, 0.0, np.nan, np.inf, 1e300, 7.0], mask=[0, 0, 0, 0, 0, 1])


def test_every_measured_value_has_exactly_one_place():
    places = np.isfinite(lanes.positions(MIXED)).astype(int) + lanes.zeros(MIXED) + lanes.odd(MIXED)
    assert places.tolist() == [1, 1, 1, 1, 1, 0]


def test_the_band_holds_600_decades_and_lanes_lie_outside():
    scale = lanes.fit(MIXED)
    assert scale.low < -300
    assert scale.high > 300
    assert (scale.zeros, scale.odd, scale.empty) == (True, True, False)


def test_lanes_are_there_only_where_needed():
    scale = lanes.fit(np.ma.MaskedArray([1.0, 2.0]))
    assert not scale.zeros
    assert not scale.odd
    assert scale.high - scale.low > 2


def test_zeros_need_no_lane_on_a_linear_axis():
    assert not lanes.fit(np.ma.MaskedArray([0.0, 0.1]), log=False).zeros


@pytest.mark.parametrize("values", [[0.0, 0.0], [np.nan], [np.inf, 0.0]])
def test_a_series_without_a_finite_value_is_marked_in_the_lanes(values):
    axes = Figure().add_subplot()
    series = np.ma.MaskedArray(values)
    scale = lanes.fit(series)
    lanes.draw(axes, np.arange(len(values)), series, scale, color="black")
    lanes.dress(axes, scale)
    marks = sum(np.isfinite(line.get_ydata()).sum() for line in axes.get_lines())
    assert marks == len(values)
    assert {text.get_text() for text in axes.get_yticklabels()} <= {"exactly 0", "not finite"}


def test_marks_stay_in_their_lane_and_lines_break_there():
    axes = Figure().add_subplot()
    scale = lanes.fit(MIXED)
    lanes.draw(axes, np.arange(6), MIXED, scale, color="black", shift=0.4)
    line, _dots, zeros, odd = axes.get_lines()
    assert np.isnan(line.get_ydata()).tolist() == [False, True, True, True, False, True]
    assert scale.low - scale.height < zeros.get_ydata()[0] < scale.low
    assert scale.high < odd.get_ydata()[0] < scale.high + scale.height


@pytest.mark.parametrize("log", [True, False])
def test_a_lane_does_not_take_the_place_of_the_numbers(log):
    axes = Figure().add_subplot()
    lanes.dress(axes, lanes.fit(np.ma.MaskedArray([2.0, 1.5, np.nan]), log=log))
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels[-1] == "not finite"
    assert len(labels) > 2


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        ([5.0], [5.0]), ([1.0, 5.0], [1.0, 5.0]), ([5.0, 5.0], [4.5, 5.5]), ([0.0, 0.0, 9.0], [0.0, 1.0, 9.0]),
        ([10.0, 10.0], [9.0, 10.0]), ([], []),
    ],
)  # fmt: skip
def test_labels_move_no_further_than_they_must(heights, expected):
    assert lanes.spread_apart(heights, 1.0, low=0.0, high=10.0) == pytest.approx(expected)


def test_more_labels_than_there_is_room_for_stay_inside():
    places = lanes.spread_apart([5.0] * 30, 1.0, low=0.0, high=10.0)
    assert min(places) >= -1e-9
    assert max(places) <= 10 + 1e-9
    assert np.diff(places).min() > 0.3


def test_axes_of_few_decades_show_numbers():
    axes = Figure().add_subplot()
    lanes.dress(axes, lanes.fit(np.ma.MaskedArray([0.2, 1.5])))
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert {"0.1", "1"} <= {*labels}
    assert not any("10" in label for label in labels if label != "10")
