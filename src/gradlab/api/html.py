"""HTML for notebooks: text, a table and one figure, self-contained and escaped."""

import base64
import io
from collections.abc import Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 100


def block(lines: Sequence[str], *, figure: "Figure | None" = None, table: str = "") -> str:
    """Return a block of HTML.

    Args:
        lines: Lines of text, the first in bold.
        figure: A figure to embed below them as a PNG.
        table: HTML of a table to put between text and figure.
    """
    first, *others = (escape(line) for line in lines)
    parts = [f"<p><strong>{first}</strong></p>", *(f"<p>{line}</p>" for line in others), table]
    if figure is not None:
        data = base64.b64encode(png(figure)).decode()
        parts.append(f'<img alt="{first}" style="max-width: 100%" src="data:image/png;base64,{data}">')
    return f"<div>{''.join(parts)}</div>"


def preformatted(text: str) -> str:
    """Return text as HTML that keeps its line breaks."""
    return f"<pre>{escape(text)}</pre>"


def visible(figure: "Figure") -> "Figure":
    """Add a ``_repr_png_`` to a figure: notebooks display only figures of pyplot by themselves."""
    displayed: Any = figure
    displayed._repr_png_ = partial(png, figure)
    return figure


def png(figure: "Figure") -> bytes:
    """Return a figure as the bytes of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    return file.getvalue()
