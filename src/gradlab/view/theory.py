"""The line that theory predicts, from run.json."""

from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from gradlab.artifacts.record import read_run
from gradlab.view import style


@dataclass(frozen=True)
class Line:
    """What theory says of the gradient at step 0.

    Attributes:
        depths: depth_index of each layer, ascending.
        decades: log10 of its norm, over that of the last.
        margin: Width of the band around it on either side, in decades for each layer from the last.
    """

    depths: NDArray[np.float64]
    decades: NDArray[np.float64]
    margin: float

    def at(self, last: float) -> NDArray[np.float64]:
        """Return log10 of the norms, scaled so that the last layer's norm is as measured."""
        return np.log10(last) + self.decades


def read_line(run_dir: Path, column: str) -> Line | None:
    """Return the predicted line for a column of gradients.csv; None where run.json has none.

    Args:
        run_dir: The run's folder.
        column: The column that is drawn.
    """
    try:
        theory: Any = (read_run(run_dir) or {}).get("theory")
        if theory["column"] != column:
            return None
        prediction = theory["prediction"]
        logs = np.array(prediction["log_gradients"], dtype=float)  # reads "-inf" too
        depths = np.array(prediction["depth_index"], dtype=float)
        margin = theory["tolerance"] or 0.0
    except (ValueError, KeyError, TypeError):
        return None
    return Line(depths, logs / (2 * log(10)), margin / (2 * log(10))) if np.isfinite(logs).all() else None


def draw_line(axes: Axes, line: Line, last: float) -> None:
    """Draw it dashed, with the band that a net of finite width may stay in.

    Args:
        axes: Axes whose vertical positions are log10 of norms.
        line: The line.
        last: Measured norm of the last hidden layer at step 0.
    """
    heights = line.at(last)
    margin = line.margin * (line.depths[-1] - line.depths)
    axes.fill_between(line.depths, heights - margin, heights + margin, color=style.QUIET, alpha=0.13, linewidth=0)
    axes.plot(line.depths, heights, color=style.TEXT, linewidth=1.4, linestyle=style.DASHES, label="theory")
