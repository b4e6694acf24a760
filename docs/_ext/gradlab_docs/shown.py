"""The commands and the Python code that pages show, so that tests can run them.

A block that is shown counts unless a comment stands in the line before it: ``<!-- not run: reason -->``. A block after
``<!-- file: NAME -->`` is the content of a file that later commands of the page need.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(\s*)(```+|~~~+)\{?([\w-]*)\}?.*$")
_NOTE = re.compile(r"<!--\s*(not run|file):\s*(.*?)\s*-->")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block of a page.

    Attributes:
        page: The page's file.
        line: Line of the block's fence, from 1.
        language: What follows the fence: ``console``, ``python``, …
        text: Its content.
        skipped: Why it is not run; "" where it is.
        file: Name of the file whose content it is; "" where it is none.
    """

    page: Path
    line: int
    language: str
    text: str
    skipped: str = ""
    file: str = ""

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command of a ``console`` block: the lines that begin with ``$``, comments left out."""
        if self.language != "console" or self.skipped:
            return []
        joined = re.sub(r"\\\n\s*", " ", self.text)
        lines = [line[2:] for line in joined.splitlines() if line.startswith("$ ")]
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def inline_commands(page: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the words of each command of gradlab in a page's text, between backticks.

    One with a placeholder (``…``, or a name in capitals) is left out.
    """
    fenced = {number for block in blocks(page) for number in range(block.line, block.line + block.text.count("\n") + 2)}
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        for text in () if number in fenced else re.findall(r"`((?:uv run )?gradlab(?:-\w+)? [^`]+)`", line):
            if "…" not in text and not re.search(r"\b[A-Z]{3,}\b", text):
                yield number, shlex.split(text.replace("\\|", "|"))


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a Markdown page, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        found = _FENCE.match(lines[number])
        number += 1
        if not found:
            continue
        indent, fence, language = found.groups()
        start, body = number, []
        while number < len(lines) and lines[number].strip() != fence:
            body.append(lines[number].removeprefix(indent))
            number += 1
        number += 1
        notes = dict(_NOTE.findall(lines[start - 2])) if start > 1 else {}
        yield Block(
            page=page, line=start, language=language, text="\n".join(body) + "\n",
            skipped=notes.get("not run", ""), file=notes.get("file", ""),
        )  # fmt: skip


def links(page: Path) -> list[str]:
    """Return the local links and images of a page's text, as they are written."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    return [link for link in found if not re.match(r"\w+:", link)]
