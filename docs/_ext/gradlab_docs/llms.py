"""llms.txt: one line for each page, its title, its address and its first sentences, for readers that are programs."""

from collections.abc import Iterable
from pathlib import Path

from docutils import nodes  # pyright: ignore[reportMissingImports, reportMissingModuleSource]

_LONGEST = 200


def write(path: Path, documents: Iterable[tuple[str, nodes.document]], *, about: str) -> None:
    """Write llms.txt.

    Args:
        path: The file.
        documents: Name and tree of each page.
        about: What the project is, in a sentence.
    """
    lines = ["# gradlab", "", f"> {about}", "", "## Pages", ""]
    lines += [f"- [{_title(tree, name)}]({name}.html): {summary(tree)}" for name, tree in documents]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def summary(tree: nodes.document) -> str:
    """Return the first paragraph of a page on one line, cut at 200 characters; its title where it has none."""
    for paragraph in tree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if text:
            return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rsplit(' ', 1)[0]} …"
    return _title(tree, "")


def _title(tree: nodes.document, name: str) -> str:
    found = next(iter(tree.findall(nodes.title)), None)
    return found.astext() if found is not None else name
