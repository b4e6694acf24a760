"""Text that leaves gradlab, one function for each place it goes to: names and messages are data, never instructions.

Error messages, layer names and overrides may hold anything. A terminal acts on escape sequences, a spreadsheet on a
leading ``=``, and XML allows no control characters.
"""

import os
import re
import sys

# Control characters but line feed and tab, line and paragraph separators, marks that reorder text, surrogates, and the
# two that XML forbids.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_FORMULA = re.compile(r"[=+\-@\t]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|nan)", re.ASCII | re.IGNORECASE)


def visible(text: object) -> str:
    r"""Return a text with control characters as escapes such as ``\x1b``, for a terminal, XML, HTML and SVG."""
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), str(text))


def visible_line(text: object) -> str:
    r"""Return a text as `visible` does, in one line: line feeds and tabs become ``\n`` and ``\t``."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def table_cell(text: str) -> str:
    """Return a cell of a CSV file, which a spreadsheet reads as a text or a number and not as a formula.

    A text that begins like a formula gets an apostrophe in front, as spreadsheets write it themselves.
    """
    text = visible_line(text)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def read_cell(cell: str) -> str:
    """Return the text of a cell that `table_cell` wrote."""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell, 1) else cell


def markdown_cell(text: object) -> str:
    """Return the text of a cell of a Markdown table, in which no character is markup."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", visible_line(text))


def print_line(text: object, *, to_stderr: bool = False) -> None:
    """Print a line of words; nothing happens if the reader of the stream has closed it."""
    stream = sys.stderr if to_stderr else sys.stdout
    try:
        print(visible(text), file=stream, flush=True)
    except BrokenPipeError:
        discard(stream)


def discard(stream: object) -> None:
    """Send what is written to a stream from now on, and what it still holds, to the null device."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, stream.fileno())  # pyright: ignore[reportAttributeAccessIssue]
    finally:
        os.close(null)


def open_streams() -> None:
    """Give a process that was started with closed standard streams the null device, and let every text be printed.

    Otherwise the first file that it opens would get the number of a standard stream. A character that the terminal's
    encoding lacks is printed as an escape.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]


def flush_streams() -> None:
    """Write what the standard streams hold, or drop it if their readers have closed them."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            discard(stream)
