"""How the training went: the losses, the learning rate, and the size of the updates."""

import numpy as np

from gradlab.artifacts.read import Layers, Metrics, spread_out
from gradlab.view import lanes, style
from gradlab.view.format import condition, short

UPDATE = "update_ratio"
_AIM = 1e-3  # Karpathy, CS231n, "Neural networks 3": "this ratio should be somewhere around 1e-3"
_MOST_LINES = 60


def loss(metrics: Metrics, *, caption: str) -> style.Sheet:
    """Draw train and eval loss against the step, with the learning rate below.

    Args:
        metrics: ``step``, ``train_loss``, ``eval_loss``, ``eval_accuracy`` and ``lr``, each of shape (S,), S > 0.
        caption: The configuration that was run.
    """
    sheet = style.sheet(loss_headline(metrics), caption=caption, height=4.35)
    steps = metrics["step"].filled(0)
    losses, rate = (metrics["train_loss"], metrics["eval_loss"]), metrics["lr"]
    upper = sheet.axes(0.95, 1.62, 7.05, 2.55, name="mean loss")
    scale = lanes.fit(*losses, log=lanes.in_decades(*losses))
    names = (("train", style.BLUE, 0.25), ("eval", style.VERMILLION, -0.25))
    for series, (name, color, shift) in zip(losses, names, strict=True):
        there = ~np.ma.getmaskarray(series)
        lanes.draw(upper, steps[there], series[there], scale, color=color, label=name * bool(there.any()), shift=shift)
    lanes.dress(upper, scale)
    style.note_colours(upper, "loss")

    lower = sheet.axes(0.95, 0.55, 7.05, 0.85, name="learning rate")
    rates = lanes.fit(rate, log=False)
    lanes.draw(lower, steps, rate, rates, color=style.GREEN)
    lanes.dress(lower, rates)
    for axes in (upper, lower):
        style.keep_small(axes)
        style.step_axis(axes, steps.astype(int).tolist())
    upper.set_xlabel("")
    upper.tick_params(labelbottom=False)
    return sheet


def loss_headline(metrics: Metrics) -> str:
    """Say what became of the train loss, and the last eval figures."""
    measured = ~np.ma.getmaskarray(metrics["train_loss"])
    values, steps = metrics["train_loss"].data[measured], metrics["step"].data[measured].astype(int)
    broken = np.flatnonzero(~np.isfinite(values))
    if not values.size:
        train = "No train loss was recorded"
    elif broken.size:
        train = f"Train loss is not finite at step {steps[broken[0]]}"
        train += f"; it was {short(values[0])} at step {steps[0]}" if broken[0] else ""
    elif values.size == 1:
        train = f"Train loss is {short(values[0])} at step {steps[0]}"
    else:
        verb = "fell" if values[-1] < values[0] else "did not fall: it went"
        train = f"Train loss {verb} from {short(values[0])} to {short(values[-1])} by step {steps[-1]}"
    named = (("eval loss", metrics["eval_loss"]), ("eval accuracy", metrics["eval_accuracy"]))
    ends = [f"{name} {condition(series.compressed()[-1], digits=3)}" for name, series in named if series.count()]
    return "; ".join([train, *([", ".join(ends)] if ends else [])])


def update_ratio(layers: Layers, *, caption: str) -> style.Sheet:
    """Draw the norm of each layer's update over the norm of its weights, against the step.

    Args:
        layers: A run's layers with ``update_ratio``, recorded at least once.
        caption: The configuration that was run.
    """
    values = layers.columns[UPDATE]
    sheet = style.sheet(update_headline(layers), caption=caption, height=3.85)
    axes = sheet.axes(0.95, 0.55, 7.05, 3.1, name="norm of update / norm of weights")
    scale = lanes.fit(values, np.ma.MaskedArray([_AIM]))
    steps = layers.steps.astype(float)
    hidden = values[:, : layers.hidden]
    drawn = spread_out(layers.hidden, _MOST_LINES)
    named = {drawn[place] for place in spread_out(len(drawn), 6)}

    for lane, marker, flags in ((scale.zeros, "v", lanes.zeros(hidden)), (scale.odd, "x", lanes.odd(hidden))):
        if lane and len(drawn) < layers.hidden:  # layers that have no line of their own must not lose their marks
            middle = scale.low - scale.height / 2 if marker == "v" else scale.high + scale.height / 2
            lanes.mark_lane(axes, steps[flags.any(axis=1)], middle, marker=marker, color=style.QUIET)
    shifts = np.linspace(-0.35, 0.35, len(drawn))
    for layer, color, shift in zip(drawn, style.shades(len(drawn)), shifts, strict=True):
        label = str(layers.depths[layer]) if layer in named else ""
        lanes.draw(axes, steps, hidden[:, layer], scale, color=color, label=label, width=1.1, shift=float(shift))
    if layers.head:
        lanes.draw(axes, steps, values[:, -1], scale, color=style.VERMILLION, label="head", width=1.1)

    style.keep_small(axes)
    axes.axhline(np.log10(_AIM), color=style.TEXT, linewidth=1, linestyle="--")
    axes.annotate(
        "1e-3, the customary aim", (1, np.log10(_AIM)), xycoords=("axes fraction", "data"), xytext=(0, 3),
        textcoords="offset points", ha="right", size=8,
        bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5},
    )  # fmt: skip
    lanes.dress(axes, scale)
    style.step_axis(axes, layers.steps.tolist())
    style.note_colours(axes, "layer" if len(drawn) == layers.hidden else f"{len(drawn)} of {layers.hidden}\nlayers")
    return sheet


def update_headline(layers: Layers) -> str:
    """Say how large the last recorded update of the first and the last hidden layer was, relative to their weights."""
    values = layers.columns[UPDATE]
    row = int(np.flatnonzero(values.count(axis=1))[-1])
    ends = [(f"layer {layers.depths[end]}", values[row, end]) for end in spread_out(layers.hidden, 2)]
    sizes = [f"{condition(size)} in {name}" for name, size in ends or [("the head", values[row, -1])]]
    return f"Relative update at step {layers.steps[row]}: {', '.join(sizes)}"
