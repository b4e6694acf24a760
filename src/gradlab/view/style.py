"""The look that all figures share: sheet, colours, integer ticks, and files that are the same each time."""

import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from gradlab.borders import visible

# The colours of verdicts (Okabe & Ito 2008, "Color Universal Design"); nothing else has them.
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
# Configs and values of a key (after Tol 2021, "Colour schemes", muted): distinct under every kind of colour vision.
DISTINCT = ("#332288", "#CC6677", "#999933", "#44AA99", "#882255", "#DDAA33", "#88CCEE", "#666666")
MARKERS = "osD^vP*X"
TEXT, QUIET, FAINT, LANE = "#222222", "#666666", "#E4E4E4", "#F1F1F1"
EVAL = "#AA4499"  # what was measured on data that the net is not trained on
DASHES = (0, (4, 2))  # a line that was not measured: theory, chance, a threshold
# Optimizer steps. Short of viridis' yellow end, which is hard to see as a line on white.
SEQUENCE = ListedColormap(colormaps["viridis"](np.linspace(0, 0.87, 256)), name="sequence")
_LAYERS = ListedColormap(colormaps["cividis"](np.linspace(0, 0.85, 256)), name="layers")

WIDTH = 9.0  # inches
_DPI, _SVG_DPI = 150, 96
_VECTOR_POINTS = 5000  # more points than this are drawn as an image inside the SVG, to keep the file small
_MARK = 5  # a mark takes as many bytes as this many points of a line
_LOOK: dict[Any, Any] = {
    "font.size": 9, "font.family": "sans-serif", "text.color": TEXT, "axes.labelcolor": TEXT, "axes.edgecolor": QUIET,
    "axes.titlesize": 10, "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
    "axes.axisbelow": True, "xtick.color": QUIET, "ytick.color": QUIET, "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT, "legend.frameon": False, "svg.fonttype": "none", "svg.hashsalt": "gradlab",
}  # fmt: skip
_LOOK_LOCK = threading.Lock()


@contextmanager
def look() -> Iterator[None]:
    """Apply gradlab's matplotlib settings within the block, one thread at a time, because they are global."""
    with _LOOK_LOCK, matplotlib.rc_context(_LOOK):
        yield


class Mark(NamedTuple):
    """Something that a reader may point at.

    Attributes:
        axes: Where it is drawn.
        x: Its place in the axes.
        y: Its height in the axes.
        row: Row of the run in the sweep's table; -1 where it stands for several.
        text: What is shown there; without one, the row's values.
    """

    axes: Axes
    x: float
    y: float
    row: int
    text: str = ""


@dataclass(frozen=True)
class Sheet:
    """A figure with a headline above and a caption below, laid out in inches.

    Attributes:
        figure: The figure.
        floor: Where the room for axes begins, in inches above the bottom edge.
        marks: What a reader may point at.
    """

    figure: Figure
    floor: float
    marks: list[Mark] = field(default_factory=list)

    def axes(self, left: float, bottom: float, width: float, height: float, *, name: str = "") -> Axes:
        """Return new axes at a place in inches.

        Args:
            left: Left edge.
            bottom: Lower edge, counted from above the caption.
            width: Width of the data area.
            height: Height of the data area.
            name: Label of the vertical axis, at a fixed distance from it, so that panels line up whatever their ticks.
        """
        across, up = self.figure.get_size_inches()
        axes = self.figure.add_axes((left / across, (self.floor + bottom) / up, width / across, height / up))
        if name:
            axes.set_ylabel(name)
            axes.yaxis.set_label_coords(-0.70 / width, 0.5)
        return axes

    def places(self) -> list[tuple[float, float, int, str]]:
        """Return the marks as (x, y, row, text), x and y in 1/72 inch from the upper left corner as in the SVG.

        Limits and scales of the axes must be set. A mark outside its axes is left out.
        """
        places = []
        for mark in self.marks:
            point = mark.axes.transData.transform((mark.x, mark.y))
            if np.isfinite(point).all() and mark.axes.bbox.padded(5).contains(*point):
                across, up = point / self.figure.dpi
                height = self.figure.get_size_inches()[1]
                places.append((round(72 * across, 1), round(72 * (height - up), 1), mark.row, mark.text))
        return places

    def save(self, folder: Path, name: str) -> list[Path]:
        """Write the figure as PNG and SVG, without a date, and return the two paths."""
        png, svg = folder / f"{name}.png", folder / f"{name}.svg"
        for text in self.figure.findobj(Text):
            _show_as_it_is(cast(Text, text))
        self.figure.savefig(png, dpi=_DPI)
        title = " ".join(self.figure.texts[0].get_text().split())
        self.figure.savefig(svg, dpi=_SVG_DPI, metadata={"Date": None, "Title": title})
        return [png, svg]


def _show_as_it_is(text: Text) -> None:
    """Escape control characters, which an SVG does not allow, and draw a dollar sign in a name as one."""
    before = text.get_text()
    if (after := visible(before)) != before:
        text.set_text(after)
    if "$" in before and "\\mathdefault" not in before:  # which is in the labels of matplotlib's own ticks
        text.set_parse_math(False)


def sheet(title: str, *, caption: str, height: float, color: str = "") -> Sheet:
    """Return a sheet with a headline and a caption, as tall as its texts need.

    Args:
        title: What the figure shows, in words.
        caption: The configuration that was run.
        height: Room for the axes and their labels, in inches.
        color: Colour of a bar beside the headline, for the verdict; none by default.
    """
    head = balanced(title, 96)
    foot = [line for part in caption.splitlines() for line in textwrap.wrap(part, 150)]
    above, below = 0.20 + 0.23 * len(head), 0.12 + 0.145 * len(foot)
    total = height + above + below
    figure = Figure(figsize=(WIDTH, total))
    texts = (
        ("\n".join(head), 1 - 0.13 / total, "top", 11.5, TEXT, "bold"),
        ("\n".join(foot), 0.09 / total, "bottom", 7.5, QUIET, "normal"),
    )
    for text, y, anchor, size, ink, weight in texts:
        # The text may come from a configuration: a dollar sign in it is not the start of a formula.
        figure.text(0.17 / WIDTH, y, text, va=anchor, size=size, color=ink, weight=weight, parse_math=False)
    if color:
        bar = (0, 1 - (0.13 + 0.2 * len(head)) / total), 0.07 / WIDTH, 0.2 * len(head) / total
        figure.add_artist(Rectangle(*bar, color=color, linewidth=0))
    return Sheet(figure=figure, floor=below)


def balanced(text: str, letters: int) -> list[str]:
    """Return a text in as few lines of at most so many letters as it needs, about equally long."""
    lines = textwrap.wrap(text, letters)
    width = -(-len(text) // max(1, len(lines)))
    return next(wrapped for more in range(letters) if len(wrapped := textwrap.wrap(text, width + more)) <= len(lines))


def shades(count: int, *, layers: bool = False) -> list[str]:
    """Return that many colours from dark to light, all visible on white and distinct without colour vision.

    Args:
        count: How many.
        layers: Whether they stand for layers rather than optimizer steps.
    """
    return [to_hex((_LAYERS if layers else SEQUENCE)(place)) for place in np.linspace(0, 1, count)]


def round_numbers(first: int, last: int, *, most: int = 6) -> list[int]:
    """Return about ``most`` multiples of 1, 2 or 5 times a power of ten from ``first`` to ``last``."""
    ladder = (digit * 10**power for power in range(20) for digit in (1, 2, 5))
    stride = next(stride for stride in ladder if (last - first) / stride <= most)
    return list(range(-(-first // stride) * stride, last + 1, stride))


def integer_ticks(first: int, last: int, *, most: int = 6) -> list[int]:
    """Return round numbers between two integers, and these two themselves."""
    inner = round_numbers(first, last, most=most)
    room = 0.5 * (inner[1] - inner[0]) if len(inner) > 1 else 1
    return sorted({first, last, *(tick for tick in inner if tick - first >= room and last - tick >= room)})


def step_axis(axes: Axes, steps: Sequence[int]) -> None:
    """Label a horizontal axis of optimizer steps with integers.

    Args:
        axes: The axes.
        steps: The recorded steps in ascending order.
    """
    first, last = int(steps[0]), int(steps[-1])
    room = 0.02 * (last - first) or 1
    axes.set_xlim(first - room, last + room)
    axes.set_xticks(integer_ticks(first, last))
    axes.set_xlabel("optimizer step")


def keep_small(axes: Axes) -> None:
    """Turn the lines of axes that hold very many points into an image within an SVG; texts and ticks stay vectors."""
    lines = axes.get_lines()
    points = sum(np.size(line.get_xdata()) * (1 if line.get_marker() == "None" else _MARK) for line in lines)
    for line in lines:
        line.set_rasterized(points > _VECTOR_POINTS)


def note_colours(axes: Axes, title: str) -> None:
    """Put the legend of the labelled series to the right of the axes."""
    axes.legend(
        title=title, loc="upper left", bbox_to_anchor=(1.01, 1.02), borderaxespad=0, handlelength=1.6, fontsize=8.5,
        alignment="left",
    )  # fmt: skip
