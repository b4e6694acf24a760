"""Every recorded gradient norm at once: a layer x step map in decades."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgba
from matplotlib.patches import Patch
from numpy.typing import NDArray

from gradlab.artifacts.read import Layers, spread_out
from gradlab.view import flow, lanes, style
from gradlab.view.format import power_of_ten, short
from gradlab.view.order import order_layers
from gradlab.view.verdict import Opening

# Colours that the map of the finite values never takes, under any kind of colour vision.
_ZERO, _ODD, _UNMEASURED = ("exactly 0", "#EFC4DC"), ("not finite", style.VERMILLION), ("not measured", "#FFFFFF")
_COLORS = colormaps["viridis"]
_MOST = (360, 720)  # layers and steps that a sheet can show side by side; blocks of more are merged
BODY = (0.95, 0.55, 6.3, 2.85)  # left, bottom, width, height in inches
NAMED_BODY = (1.85, 0.55, 5.4, 2.85)  # the same where the rows have names
_NONE = Opening()


def gradient_heatmap(layers: Layers, *, caption: str, verdict: Opening = _NONE) -> style.Sheet:
    """Draw log10 of each layer's gradient norm against the steps, the head in a row of its own above.

    Args:
        layers: A run's layers with the column of `gradient_column`; at least one step and layer.
        caption: The configuration that was run.
        verdict: How the title begins.
    """
    layers = flow.observed(layers)
    values = layers.columns[layers.gradient]
    sheet = style.sheet(verdict.title(headline(layers)), caption=caption, height=3.8, color=verdict.color)
    scale = lanes.fit(values)
    order = order_layers(layers)
    body = NAMED_BODY if order.named else BODY
    left, bottom, width, height = body
    rows = []
    if layers.head:
        rows.append(sheet.axes(left, bottom + height + 0.07, width, 0.17) if layers.hidden else sheet.axes(*body))
        picture(rows[0], values[:, layers.hidden :], scale)
        rows[0].set_yticks([0], ["head"])
    if layers.hidden:
        rows.append(sheet.axes(*body, name="" if order.named else "layer (depth_index)"))
        picture(rows[-1], values[:, order.rows], scale)
        if order.named:
            cells = np.arange(len(order.rows))
            rows[-1].set_yticks(np.interp(list(order.ticks), order.x, cells), list(order.ticks.values()), size=8)
            for group in order.groups[1:]:
                rows[-1].axhline(group.start - 0.5, color="white", linewidth=2)
        else:
            rows[-1].set_yticks(*ticks(layers.depths[: layers.hidden]))
    rows[0].set_xticks([])
    rows[-1].set_xticks(*ticks(layers.steps))
    rows[-1].set_xlabel("optimizer step")

    if not scale.empty:
        bar(sheet, scale, flow.norm_of(layers))
    legend(rows[-1], values, scale)
    return sheet


def legend(axes: Axes, values: np.ma.MaskedArray, scale: lanes.Lanes) -> None:
    """Name the colours of zeros, non-finite and missing values, where the map has such cells."""
    present = (scale.zeros, scale.odd, bool(np.ma.getmaskarray(values).any()))
    named = [pair for pair, there in zip((_ZERO, _ODD, _UNMEASURED), present, strict=True) if there]
    patches = [Patch(facecolor=color, edgecolor=style.QUIET, linewidth=0.6, label=name) for name, color in named]
    axes.legend(handles=patches, loc="lower left", bbox_to_anchor=(1.01, -0.03), fontsize=8.5)


def picture(axes: Axes, values: np.ma.MaskedArray, scale: lanes.Lanes) -> None:
    """Paint steps x layers (or time steps) values; zeros, non-finite and missing values have their own colours."""
    decades, kinds = merge(values.T)
    pixels = _COLORS(Normalize(scale.low, scale.high)(np.nan_to_num(decades)))
    for kind, (_, color) in enumerate((_ZERO, _ODD, _UNMEASURED), start=1):
        pixels[kinds == kind] = to_rgba(color)
    extent = (-0.5, values.shape[0] - 0.5, -0.5, values.shape[1] - 0.5)
    # "none" puts the cells themselves into an SVG: sharp at any size, and smaller than a picture of them.
    axes.imshow(pixels, extent=extent, aspect="auto", origin="lower", interpolation="none")
    axes.spines[:].set_visible(True)


def bar(sheet: style.Sheet, scale: lanes.Lanes, name: str) -> None:
    """Draw the colour scale, in decades, to the right of the map."""
    left, bottom, width, height = BODY
    place = sheet.axes(left + width + 0.17, bottom + 0.75, 0.17, height - 0.75)
    colours = sheet.figure.colorbar(ScalarMappable(Normalize(scale.low, scale.high), _COLORS), cax=place)
    exponents = style.round_numbers(int(np.ceil(scale.low)), int(np.floor(scale.high)), most=7)
    colours.set_ticks(exponents, labels=[power_of_ten(exponent) for exponent in exponents])
    colours.set_label(name)


def headline(layers: Layers) -> str:
    """Say how many decades the hidden layers' gradients span at the first and the last step, and what is off."""
    values = layers.columns[layers.gradient]
    if layers.hidden < 2:
        return flow.headline(layers)
    spans = []
    for row in spread_out(len(layers.steps), 2):
        decades = lanes.positions(values[row, : layers.hidden])
        decades = decades[np.isfinite(decades)]
        unit = "" if spans else " decades"
        spans += [f"{short(np.ptp(decades), digits=2)}{unit} at step {layers.steps[row]}"] if decades.size else []
    span = [f"The hidden layers' gradients span {', '.join(spans)}"] if spans else []
    kinds = ((lanes.zeros(values).sum(), "exactly 0"), (lanes.odd(values).sum(), "not finite"))
    flaws = [f"{count:,} of {values.count():,} gradients are {name}" for count, name in kinds if count]
    return "; ".join([*span, *flaws]) or "No gradient was measured"


def ticks(values: NDArray[np.int64]) -> tuple[list[float], list[str]]:
    """Return places and labels along cells that stand for ascending integers: all if they are few, or round ones."""
    few = values.tolist() if len(values) <= 6 else style.integer_ticks(int(values[0]), int(values[-1]))
    return np.interp(few, values, np.arange(len(values))).tolist(), [str(value) for value in few]


def merge(values: np.ma.MaskedArray) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the cells of a map no larger than a sheet can show.

    A block of cells has the mean of its finite decades; one zero or non-finite value in it marks the whole block, so
    that none is lost.

    Args:
        values: Norms, one row per layer and one column per step.

    Returns:
        Decades (nan where a cell has none), and kinds: 0 a finite norm, 1 exactly zero, 2 not finite, 3 not measured.
    """
    decades = lanes.positions(values)
    finite = np.isfinite(decades)
    sums, counts = _blocks(np.nan_to_num(decades)), _blocks(finite.astype(float))
    kinds = np.where(counts > 0, 0, 3)
    kinds[_blocks(lanes.zeros(values).astype(float)) > 0] = 1
    kinds[_blocks(lanes.odd(values).astype(float)) > 0] = 2
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0), kinds


def _blocks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum a matrix over blocks of rows and columns, where it has more of them than a sheet can show."""
    for axis, most in enumerate(_MOST):
        count = min(values.shape[axis], most)
        starts = np.arange(count) * values.shape[axis] // count
        values = np.add.reduceat(values, starts, axis=axis)
    return values
