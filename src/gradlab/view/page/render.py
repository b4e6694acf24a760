"""The page itself: template, style and script, and the values that go into them, escaped."""

import base64
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gradlab import __version__
from gradlab.artifacts.atomic import replacing
from gradlab.borders import visible
from gradlab.view import style

NAME = "report.html"
_HERE = Path(__file__).parent
_SCRIPTS = ("chart.js", "run.js", "table.js", "grid.js", "start.js")
_COLORS = {style.TEXT: "ink", style.QUIET: "quiet", style.FAINT: "faint", style.LANE: "lane", "#FFFFFF": "page"}
_DARK = 150  # of 255 in the strongest of red, green and blue


def write_page(path: Path, content: Mapping[str, Any]) -> None:
    """Fill in the template and write it by rename.

    Every value is escaped, data too. Besides, the page's content security policy runs no script but the one of the
    given hash, and fetches nothing.

    Args:
        path: The file to write.
        content: Values of the template.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    script = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    page = environment.get_template("report.html").render(
        content,
        version=__version__,
        style=Markup((_HERE / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def figure(path: Path, places: Sequence[tuple[float, float, int, str]] = ()) -> dict[str, Any]:
    """Return what the template needs of a figure.

    Args:
        path: Its SVG.
        places: What a reader may point at, as `style.Sheet.places` returns it.
    """
    svg = path.read_text(encoding="utf-8")
    found = re.search(r"<dc:title>(.*?)</dc:title>", svg, flags=re.DOTALL)
    title = html.unescape(found[1]) if found else path.stem.replace("_", " ")
    return {"name": path.stem, "places": places, "title": title, "svg": Markup(_inline(svg, path.stem))}


def cell(value: Any) -> Any:
    """Return a cell for JSON: a text that is a number as one, six digits of a float, None where nothing is known."""
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d*)?([eE][-+]?\d+)?", value):
        value = int(value) if value.lstrip("-").isdigit() else float(value)
    if isinstance(value, float):
        return float(f"{value:.6g}") if isfinite(value) else None
    return None if value == "" else value


def _inline(svg: str, name: str) -> str:
    """Return an SVG file as an element of a page: without a prolog, with names of its own and the page's colours."""
    svg = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL
    )
    own = re.sub(r"\W", "_", name)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{own}-", svg)
    for color, variable in _COLORS.items():
        svg = re.sub(rf"(fill|stroke): {color}\b", rf"\1: var(--{variable})", svg, flags=re.IGNORECASE)
    return re.sub(r"(fill|stroke): (#[0-9a-fA-F]{6})\b", _readable, svg)


def _readable(found: re.Match[str]) -> str:
    """Lighten a colour that is hard to see on a dark page; a browser without ``light-dark`` keeps the colour."""
    name, color = found.groups()
    if max(bytes.fromhex(color[1:])) > _DARK:
        return found[0]
    return f"{found[0]}; {name}: light-dark({color}, color-mix(in srgb, {color}, white 45%))"
