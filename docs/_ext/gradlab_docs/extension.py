"""A Sphinx extension: the pages of the documentation that are generated from gradlab itself.

They are written into the source folder before Sphinx looks for its sources, and git ignores them.
"""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx  # pyright: ignore[reportMissingImports]
from sphinx.util import logging  # pyright: ignore[reportMissingImports]

from gradlab_docs import commands, files, gallery, llms, options
from gradlab_docs.markdown import write_pages


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_config_value("gradlab_gallery", default=True, rebuild="")
    app.connect("builder-inited", generate)
    app.connect("build-finished", list_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def generate(app: Sphinx) -> None:
    """Write every generated page."""
    reference = Path(app.srcdir) / "reference"
    write_pages(reference / "options", options.pages(), alone=True)
    facts = {
        "settings.md": options.settings_page(),
        "columns.md": files.columns_page(),
        "files.md": files.files_page(),
        "run-json.md": files.record_page(),
        "commands.md": commands.commands_page(),
    }
    write_pages(reference, facts)
    source = Path(app.srcdir)
    run = str(app.config.gradlab_gallery) not in ("0", "False")
    for problem in gallery.build(source / "_build" / "gallery", source / "gallery", run=run):
        logging.getLogger(__name__).warning("gallery: %s", problem)


def list_pages(app: Sphinx, exception: Exception | None) -> None:
    """Write llms.txt beside the pages."""
    if exception is None and app.builder.format == "html":
        env = app.env
        documents = [(name, env.get_doctree(name)) for name in sorted(env.found_docs)]
        about = llms.summary(env.get_doctree("index"))
        llms.write(Path(app.outdir) / "llms.txt", documents, about=about)
