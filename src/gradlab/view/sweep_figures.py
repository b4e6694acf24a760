"""All figures of a sweep."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradlab.view import curves, grid, neighbours, phase, ranking, ratio, style
from gradlab.view.sweeps import Metric, Sweep


@dataclass(frozen=True)
class Drawing:
    """A figure on disk.

    Attributes:
        path: The SVG; a PNG of the same name lies beside it.
        places: What a reader may point at: (x, y) in the SVG's units, and the row of the run.
    """

    path: Path
    places: Sequence[tuple[float, float, int]]


def draw_sweep(
    sweep: Sweep,
    folder: Path,
    *,
    metric: Metric | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    alike: bool = True,
) -> list[Drawing]:
    """Draw a sweep's figures into ``folder/figures``, each as PNG and SVG; what has nothing to show is left out.

    Args:
        sweep: The sweep.
        folder: Its folder.
        metric: What configs are compared by; where it is not given, the first of `METRICS` that was measured.
        pairs: Pairs of keys to draw against each other; by default the first three pairs of swept keys.
        alike: Whether its configs can be compared by the keys that were swept. Those of a remedies sweep have none in
            common; a figure and a table of its own compare them.
    """
    metrics = sweep.metrics
    if not metrics:
        return []
    metric = metric or metrics[0]
    draw: list[tuple[str, Callable[[], style.Sheet | None]]] = []
    if len(sweep.table) > 1 and alike:
        draw.append(("ranking", lambda: ranking.ranking(sweep, metric)))
    if ratio.can_draw(sweep):
        draw.append(("gradient_ratio", lambda: ratio.gradient_ratio(sweep)))
    if phase.can_draw(sweep):
        draw.append(("phase_diagram", lambda: phase.phase_diagram(sweep)))
    draw.append(("likeness", lambda: neighbours.likeness_by_depth(sweep)))
    if alike:
        draw.append(("learning_curves", lambda: curves.learning_curves(sweep, metric)))
    for rows, columns in (grid.pairs(sweep) if alike else ()) if pairs is None else pairs:
        name = f"grid_{rows}_{columns}".replace("/", "_").replace("@", "_")
        draw.append((name, lambda rows=rows, columns=columns: grid.grid(sweep, metric, rows=rows, columns=columns)))
    (folder / "figures").mkdir(exist_ok=True)
    with style.look():
        sheets = [(name, figure()) for name, figure in draw]
        return [
            Drawing(path=sheet.save(folder / "figures", name)[1], places=sheet.places())
            for name, sheet in sheets
            if sheet is not None
        ]
