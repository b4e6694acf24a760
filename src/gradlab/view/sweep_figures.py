"""All figures of a sweep."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from gradlab.view import curves, grid, neighbours, overlay, phase, ranking, ratio, style
from gradlab.view.figures import one_of
from gradlab.view.sweeps import Metric, Sweep


@dataclass(frozen=True)
class Drawing:
    """A figure on disk.

    Attributes:
        path: The SVG; a PNG of the same name lies beside it.
        places: What a reader may point at, as `style.Sheet.places` returns it.
    """

    path: Path
    places: Sequence[tuple[float, float, int, str]]


def draw_sweep(
    sweep: Sweep,
    folder: Path,
    *,
    metric: Metric | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    alike: bool = True,
) -> list[Drawing]:
    """Draw a sweep's figures into ``folder/figures``, each as PNG and SVG, without figures that would show nothing.

    Args:
        sweep: The sweep.
        folder: Its folder.
        metric: What configs are compared by; by default the first of `METRICS` that was measured.
        pairs: Pairs of keys to draw against each other; by default the first three pairs of swept keys.
        alike: Whether its configs can be compared by the keys that were swept. The configs of a remedies sweep cannot:
            they have a figure and a table of their own.
    """
    drawings = _drawings(sweep, metric=metric, pairs=pairs, alike=alike)
    if not drawings:
        return []
    (folder / "figures").mkdir(exist_ok=True)
    with style.look():
        sheets = {name: draw() for name, draw in drawings.items()}
        return [
            Drawing(path=sheet.save(folder / "figures", name)[1], places=sheet.places())
            for name, sheet in sheets.items()
        ]


def figures_of(sweep: Sweep, *, alike: bool = True) -> list[str]:
    """Return the names of the figures that a sweep's runs allow, such as ``ranking`` and ``learning_curves``.

    Args:
        sweep: The sweep.
        alike: As for `draw_sweep`.
    """
    return list(_drawings(sweep, metric=None, pairs=None, alike=alike))


def figure_of(
    sweep: Sweep,
    name: str,
    *,
    metric: Metric | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    alike: bool = True,
) -> Figure:
    """Return one figure of a sweep; no file is written.

    Args:
        sweep: The sweep.
        name: One of `figures_of`, or ``grid_ROWS_COLUMNS`` for one of ``pairs``.
        metric: As for `draw_sweep`.
        pairs: As for `draw_sweep`.
        alike: As for `draw_sweep`.

    Raises:
        GradlabError: The sweep has no figure of that name.
    """
    return one_of(_drawings(sweep, metric=metric, pairs=pairs, alike=alike), name, owner=sweep.name)


def _drawings(
    sweep: Sweep, *, metric: Metric | None, pairs: Sequence[tuple[str, str]] | None, alike: bool
) -> dict[str, Callable[[], style.Sheet]]:
    """Return a function for each figure that has something to show, in the order of a report."""
    drawings: dict[str, Callable[[], style.Sheet]] = {}
    metrics = sweep.metrics
    if not metrics:
        return drawings
    chosen = metric or metrics[0]
    if len(sweep.table) > 1 and alike:
        if len(flows := overlay.read_lines(sweep, chosen)) > 1:
            drawings["gradient_flow"] = lambda: overlay.gradient_flow(sweep, flows)
        drawings["ranking"] = lambda: ranking.ranking(sweep, chosen)
    if alike and ratio.can_draw(sweep):
        drawings["gradient_ratio"] = lambda: ratio.gradient_ratio(sweep)
    if phase.can_draw(sweep):
        drawings["phase_diagram"] = lambda: phase.phase_diagram(sweep)
    if neighbours.can_draw(sweep):
        drawings["likeness"] = lambda: neighbours.likeness_by_depth(sweep)
    if alike and (lines := curves.read_curves(sweep, chosen)) is not None:
        drawings["learning_curves"] = lambda: curves.learning_curves(sweep, lines)
    for rows, columns in (grid.pairs(sweep) if alike else ()) if pairs is None else pairs:
        name = f"grid_{rows}_{columns}".replace("/", "_").replace("@", "_")
        drawings[name] = lambda rows=rows, columns=columns: grid.grid(sweep, chosen, rows=rows, columns=columns)
    return drawings
