"""Small pieces of Markdown, and writing pages that changed."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; ``|`` inside a cell is escaped, a line break becomes a space."""
    lines = [_row(header), _row(["---"] * len(header)), *(_row([_cell(cell) for cell in row]) for row in rows)]
    return "\n".join(lines)


def code(text: str) -> str:
    """Return text as inline code, "" where there is none."""
    return f"`{text}`" if text else ""


def fenced(text: str, language: str) -> str:
    """Return a fenced block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def page(title: str, *blocks: str) -> str:
    """Return a page: its title and its non-empty blocks, an empty line between them."""
    return "\n\n".join([f"# {title}", *(block.rstrip() for block in blocks if block)]) + "\n"


def toctree(entries: Iterable[str]) -> str:
    """Return a hidden table of contents."""
    return "\n".join(["```{toctree}", ":hidden:", "", *entries, "```"])


def write_pages(folder: Path, pages: Mapping[str, str], *, alone: bool = False) -> None:
    """Write pages into a folder; those that did not change keep their time, so Sphinx need not read them again.

    Args:
        folder: The folder.
        pages: Text by file name.
        alone: Whether to remove the folder's other Markdown files, which an earlier build wrote.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.md") if alone else ():
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
