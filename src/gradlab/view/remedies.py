"""How the gradient travels with each remedy: one line a remedy, the best in colour, the net as it is in black."""

from collections.abc import Sequence
from dataclasses import dataclass

from gradlab.view import lanes, overlay, style
from gradlab.view.overlay import Flow, read_flow

COLORED = len(style.DISTINCT) - 2  # the last two colours are near the grey of the other lines
_OTHERS = "#C9C9C9"
_LEFT = 2.2  # inches, for the names

__all__ = ["Flow", "Line", "read_flow", "remedy_flow"]


@dataclass(frozen=True)
class Line:
    """One remedy in the figure.

    Attributes:
        name: Its label.
        flow: Its gradient.
        base: Whether it is the net as it is.
    """

    name: str
    flow: Flow
    base: bool = False


def remedy_flow(lines: Sequence[Line], *, title: str, caption: str, over: str) -> style.Sheet:
    """Draw the gradient at every layer, or time step, relative to the last, before training and after.

    Args:
        lines: The remedies, the best first: as many as there are colours are coloured and named.
        title: What the figure shows, in words.
        caption: The configuration that was run.
        over: What the gradient travels along: ``layer (depth_index)`` or ``time step``.
    """
    colored = [line for line in lines if not line.base][:COLORED]
    colors = {line.name: color for line, color in zip(colored, style.DISTINCT, strict=False)}
    # The net as it is comes last, so that no remedy covers it.
    ordered = sorted(lines, key=lambda line: (line.base, line.name in colors))
    drawn = [
        overlay.Line(
            line.name if line.base or line.name in colors else "",
            line.flow,
            style.TEXT if line.base else colors.get(line.name, _OTHERS),
            2.2 if line.base else 1.6 if line.name in colors else 0.9,
        )
        for line in ordered
    ]
    sheet = overlay.draw_lines(drawn, title=title, caption=caption, over=over, left=_LEFT)
    left, right = sheet.figure.axes[0], sheet.figure.axes[-1]
    # The names stand where the lines are far apart, at the first layer; so the numbers go to the other side.
    label = left.get_ylabel()
    left.set_ylabel("")
    left.tick_params(left=False, labelleft=False, which="both")
    right.yaxis.tick_right()
    right.tick_params(labelright=True)
    right.yaxis.set_label_position("right")
    right.set_ylabel(label)
    scale = overlay.scale_of(drawn)
    ends = [(lanes.place_of(line.flow.first[0], scale), line.name, line.color) for line in drawn if line.name]
    lanes.label_ends(left, ends, side="left")
    return sheet
