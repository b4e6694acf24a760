"""How the training went: the losses, the learning rate, and the size of the updates."""

import numpy as np

from gradlab.artifacts.read import Layers, Metrics, spread_out
from gradlab.view import lanes, style
from gradlab.view.format import condition, short
from gradlab.view.order import name_of, order_layers, shorten
from gradlab.view.verdict import Opening

UPDATE = "update_ratio"
LOSSES = ("train_loss", "eval_loss", "eval_accuracy", "train_accuracy")
_AIM = 1e-3  # Karpathy, CS231n, "Neural networks 3": "this ratio should be somewhere around 1e-3"
_MOST_LINES = 10
_FALL = 0.9  # a loss that ends above this share of its start has not fallen by much
_NEAR_CHANCE = 0.95  # a loss above this share of what chance gives is no better than chance
_NONE = Opening()


def loss(metrics: Metrics, *, caption: str, chance: float | None = None, verdict: Opening = _NONE) -> style.Sheet:
    """Draw train and eval loss against the step and, where it changes, the learning rate below.

    Args:
        metrics: ``step``, ``train_loss``, ``eval_loss``, ``eval_accuracy`` and ``lr``, each of shape (S,), S > 0.
        caption: The configuration that was run.
        chance: The loss of guessing, where it is known.
        verdict: How the title begins.
    """
    title = verdict.title(loss_headline(metrics, chance=chance))
    changes = len(np.unique(metrics["lr"].compressed())) > 1
    floor = 1.62 if changes else 0.55
    sheet = style.sheet(title, caption=caption, height=floor + 2.75, color=verdict.color)
    steps = metrics["step"].filled(0)
    losses = (metrics["train_loss"], metrics["eval_loss"])
    upper = sheet.axes(0.95, floor, 6.9, 2.55, name="mean loss")
    guess = [] if chance is None or not chance > 0 else [np.ma.MaskedArray([chance])]
    scale = lanes.fit(*losses, *guess, log=lanes.in_decades(*losses))
    for series, (name, color, shift) in zip(
        losses, (("train", style.TEXT, 0.25), ("eval", style.EVAL, -0.25)), strict=True
    ):
        there = ~np.ma.getmaskarray(series)
        lanes.draw(upper, steps[there], series[there], scale, color=color, label=name * bool(there.any()), shift=shift)
    if guess and chance is not None:
        height = np.log10(chance) if scale.log else chance
        upper.axhline(height, color=style.QUIET, linewidth=1.2, linestyle=style.DASHES, zorder=1, label="chance")
    lanes.dress(upper, scale)
    style.note_colours(upper, "loss")
    drawn = [upper]
    if changes:
        drawn.append(sheet.axes(0.95, 0.55, 6.9, 0.85, name="learning rate"))
        rates = lanes.fit(metrics["lr"], log=False)
        lanes.draw(drawn[1], steps, metrics["lr"], rates, color=style.QUIET)
        lanes.dress(drawn[1], rates)
        upper.tick_params(labelbottom=False)
    for axes in drawn:
        style.keep_small(axes)
        style.step_axis(axes, steps.astype(int).tolist())
    if changes:
        upper.set_xlabel("")
    return sheet


def has_loss(metrics: Metrics) -> bool:
    """Whether a loss was measured at least once."""
    return bool(metrics["train_loss"].count() or metrics["eval_loss"].count())


def loss_headline(metrics: Metrics, *, chance: float | None = None) -> str:
    """Say how the train loss changed, and the last eval loss and accuracy.

    Args:
        metrics: As for `loss`.
        chance: The loss of guessing, where it is known.
    """
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
        fell = "fell" if values[-1] < _FALL * values[0] else "went"
        verb = fell if values[-1] < values[0] else "did not fall: it went"
        train = f"Train loss {verb} from {short(values[0])} to {short(values[-1])} by step {steps[-1]}"
        if chance is not None and values[-1] > _NEAR_CHANCE * chance:
            train += f", no better than chance ({short(chance)})"
    named = (("eval loss", metrics["eval_loss"]), ("eval accuracy", metrics["eval_accuracy"]))
    ends = [f"{name} {condition(series.compressed()[-1], digits=3)}" for name, series in named if series.count()]
    return "; ".join([train, *([", ".join(ends)] if ends else [])])


def update_ratio(layers: Layers, *, caption: str, verdict: Opening = _NONE) -> style.Sheet:
    """Draw the norm of a layer's update over the norm of its weights against the step, for eight layers at most.

    Args:
        layers: A run's layers with ``update_ratio``, recorded at least once.
        caption: The configuration that was run.
        verdict: How the title begins.
    """
    values = layers.columns[UPDATE]
    sheet = style.sheet(verdict.title(update_headline(layers)), caption=caption, height=3.85, color=verdict.color)
    order = order_layers(layers)
    axes = sheet.axes(0.95, 0.55, 5.8 if order.named else 6.9, 3.1, name="norm of update / norm of weights")
    scale = lanes.fit(values, np.ma.MaskedArray([_AIM]))
    steps = layers.steps.astype(float)
    drawn = [int(order.rows[place]) for place in spread_out(layers.hidden, _MOST_LINES)]
    left_out = np.setdiff1d(np.arange(layers.hidden), drawn)
    for lane, marker, flags in ((scale.zeros, "v", lanes.zeros), (scale.odd, "x", lanes.odd)):
        if lane and len(left_out):  # layers without a line of their own keep their marks
            middle = scale.low - scale.height / 2 if marker == "v" else scale.high + scale.height / 2
            marked = steps[flags(values[:, left_out]).any(axis=1)]
            lanes.mark_lane(axes, marked, middle, marker=marker, color=style.QUIET)
    looks = [(layer, color, 1.3) for layer, color in zip(drawn, style.shades(len(drawn), layers=True), strict=True)]
    looks += [(layers.hidden, style.TEXT, 1.8)] if layers.head else []
    ends = [(float(np.log10(_AIM)), "aim: 0.001", style.QUIET)]
    for (layer, color, width), shift in zip(looks, np.linspace(-0.35, 0.35, len(looks)), strict=True):
        lanes.draw(axes, steps, values[:, layer], scale, color=color, width=width, shift=float(shift))
        name = "head" if layer == layers.hidden else name_of(layers, layer)
        if values[:, layer].count():
            last = lanes.place_of(values[:, layer].compressed()[-1], scale)
            ends.append((last, shorten(name, 26), color))
    style.keep_small(axes)
    axes.axhline(np.log10(_AIM), color=style.QUIET, linewidth=1.2, linestyle=style.DASHES, zorder=1)
    lanes.dress(axes, scale)
    style.step_axis(axes, layers.steps.tolist())
    lanes.label_ends(axes, ends)
    if len(left_out):
        axes.set_title(f"{len(drawn)} of the {layers.hidden} hidden layers", size=8.5, color=style.QUIET)
    return sheet


def update_headline(layers: Layers) -> str:
    """Say how large the last recorded update of the first and the last hidden layer was, relative to their weights."""
    values = layers.columns[UPDATE]
    row = int(np.flatnonzero(values.count(axis=1))[-1])
    ends = [(name_of(layers, end), values[row, end]) for end in spread_out(layers.hidden, 2)]
    sizes = [f"{condition(size)} in {name}" for name, size in ends or [("the head", values[row, -1])]]
    return f"Relative update at step {layers.steps[row]}: {', '.join(sizes)}"
