"""A Sphinx extension: the pages of the documentation that are generated from gradlab itself."""

from typing import Any

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    return {"parallel_read_safe": True, "parallel_write_safe": True}
