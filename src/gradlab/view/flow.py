"""How the signal travels forward through the layers, and the gradient back."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes

from gradlab.artifacts.read import GRADIENTS, Layers, spread_out
from gradlab.view import lanes, style
from gradlab.view.format import condition, quotient
from gradlab.view.order import Order, name_of, order_layers
from gradlab.view.theory import Line, draw_line
from gradlab.view.verdict import Opening

FORWARD = "activation_std"
_MOST_LINES = 5
_NONE = Opening()


def gradient_flow(layers: Layers, *, caption: str, theory: Line | None = None, verdict: Opening = _NONE) -> style.Sheet:
    """Draw the gradient that reaches each layer, and the spread of the layer's output, against depth at a few steps.

    Args:
        layers: A run's layers with ``activation_std`` and the column of `gradient_column`; at least one step and layer.
        caption: The configuration that was run.
        theory: What theory predicts of the gradient at step 0.
        verdict: How the title begins.
    """
    layers = observed(layers)
    order = order_layers(layers)
    floor = 1.15 if order.named else 0.55
    sheet = style.sheet(verdict.title(headline(layers)), caption=caption, height=3.4 + floor, color=verdict.color)
    panels = (
        (0.95, 3.75, layers.gradient, "Backward: the gradient that reaches a layer", norm_of(layers)),
        (5.60, 2.30, FORWARD, "Forward: the spread of its output", "standard deviation of h"),
    )
    for left, width, column, title, label in panels:
        axes = sheet.axes(left, floor, width, 3.05, name=label)
        _panel(axes, layers, order, layers.columns[column], theory=None if column == FORWARD else theory)
        axes.set_title(title)
    upper, aside = sheet.figure.axes
    handles, labels = upper.get_legend_handles_labels()
    aside.legend(handles, labels, title="optimizer\nstep", loc="upper left", bbox_to_anchor=(1.02, 1.02),
                 borderaxespad=0, handlelength=1.4, fontsize=8, alignment="left")  # fmt: skip
    return sheet


def observed(layers: Layers) -> Layers:
    """Leave out the layers whose signal was not measured, such as those inside torch's own recurrent kernels."""
    seen = layers.columns[FORWARD].count(axis=0) + layers.columns[layers.gradient].count(axis=0) > 0
    if not seen.any():
        return layers
    return replace(
        layers,
        depths=layers.depths[seen],
        names=[name for name, shown in zip(layers.names, seen, strict=True) if shown],
        head=layers.head and bool(seen[-1]),
        columns={name: values[:, seen] for name, values in layers.columns.items()},
    )


def norm_of(layers: Layers) -> str:
    """Return what is drawn of the gradient, as the name of an axis."""
    return f"L2 norm of {GRADIENTS[layers.gradient]} over the batch"


def headline(layers: Layers) -> str:
    """Say how much of the last hidden layer's gradient reaches the first, at the first and the last step."""
    rows = spread_out(len(layers.steps), 2)
    gradients = layers.columns[layers.gradient][rows]
    steps = layers.steps[rows].tolist()
    if layers.hidden < 2:
        name = f"{name_of(layers, 0)}, the only hidden one," if layers.hidden else "the head, the only layer measured,"
        return f"Gradient norm of {name} is {_at_steps([condition(row[0]) for row in gradients], steps)}"
    inner = gradients[:, : layers.hidden]
    lasts = [int(np.flatnonzero(~np.ma.getmaskarray(row))[-1]) if row.count() else layers.hidden - 1 for row in inner]
    first, last = name_of(layers, 0), name_of(layers, lasts[-1])
    ends = np.ma.stack([row[[0, end]] for row, end in zip(inner, lasts, strict=True)])
    if np.isfinite(lanes.positions(ends)).all():
        shares = [quotient(part, whole, digits=2) for part, whole in ends.data]
        whose = f"{last}'s" if len(set(lasts)) == 1 else "the last hidden layer's"  # else it has grown
        shares[0] += f" {'of' if ends[0, 0] < ends[0, 1] else 'times'} {whose}"
        return f"Gradient reaching {first} is {_at_steps(shares, steps)}"
    pairs = [(condition(row[0]), condition(row[1])) for row in ends]
    states = [part if part == whole else f"{part} ({last}: {whole})" for part, whole in pairs]
    return f"Gradient norm of {first} is {_at_steps(states, steps)}"


def last_norm(layers: Layers) -> float | None:
    """Return the last hidden layer's gradient norm at step 0, None where it is unknown, zero or not finite."""
    if not layers.hidden or not layers.steps.size or layers.steps[0] != 0:
        return None
    norm = layers.columns[layers.gradient][0, layers.hidden - 1]
    return float(norm) if norm is not np.ma.masked and 0 < float(norm) < np.inf else None


def _at_steps(phrases: Sequence[str], steps: Sequence[int]) -> str:
    if len(set(phrases)) < len(phrases):
        return f"{phrases[0]} at steps {' and '.join(str(step) for step in steps)}"
    return ", ".join(f"{phrase} at step {step}" for phrase, step in zip(phrases, steps, strict=True))


def _panel(axes: Axes, layers: Layers, order: Order, values: np.ma.MaskedArray, *, theory: Line | None) -> None:
    """Draw one quantity against depth: a line per chosen step, the head set apart on the right."""
    last = last_norm(layers)
    line = [] if theory is None or last is None else [10.0 ** np.clip(theory.at(last), -300, 300)]
    scale = lanes.fit(values, *map(np.ma.MaskedArray, line))
    steps = spread_out(len(layers.steps), _MOST_LINES)
    first, deepest = (float(order.x[0]), float(order.x[-1])) if layers.hidden else (float(layers.depths[0]),) * 2
    gap = max(1.0, 0.2 * (deepest - first))
    room = max(0.5, 0.03 * (deepest - first))
    head = np.array([deepest + gap if layers.hidden else deepest])
    for row, color, shift in zip(steps, style.shades(len(steps)), np.linspace(0.32, -0.32, len(steps)), strict=True):
        look = {"color": color, "shift": float(shift)}
        for number, group in enumerate(order.groups):
            label = "" if number else str(layers.steps[row])
            lanes.draw(axes, order.x[group], values[row, order.rows[group]], scale, label=label, **look)
        if layers.head:
            lanes.draw(axes, head, values[row, layers.hidden :], scale, line=False, marker="D", **look)
    if theory is not None and last is not None:
        draw_line(axes, theory, last)
    style.keep_small(axes)
    lanes.dress(axes, scale)

    places = {**order.ticks, **({float(head[0]): "head"} if layers.head else {})}
    slant = {"rotation": 35, "ha": "right", "rotation_mode": "anchor", "size": 8} if order.named else {}
    axes.set_xticks(list(places), list(places.values()), **slant)
    axes.set_xlim(first - room, (float(head[0]) if layers.head else deepest) + room)
    axes.set_xlabel("" if order.named else "layer (depth_index)")
    for place in [*order.breaks, *([deepest + gap / 2] if layers.head and layers.hidden else [])]:
        axes.axvline(place, color=style.QUIET, linewidth=0.7, linestyle=":")
