"""Figures and HTML page of one run, drawn from its files."""

from pathlib import Path

from gradlab.artifacts.record import read_or_unfinished
from gradlab.run import console
from gradlab.run.row import override_keys, read_row


def rebuild_run(run: Path, *, caption: str) -> list[Path]:
    """Draw the figures of one run, and write its ``report.html``.

    Args:
        run: The run's folder.
        caption: The run's config in one line.

    Returns:
        Paths of the files written.

    Raises:
        FileNotFoundError: There is no ``gradients.csv``.
        ValueError: A table is broken.
    """
    from gradlab.view.figures import draw_run
    from gradlab.view.page.one_run import write_run_page

    figures = draw_run(run, caption=caption)
    row = read_row(run, name=run.resolve().name)
    overrides = {key: row[key] for key in override_keys(list(row))}
    page = write_run_page(run, row=row, overrides=overrides, record=read_or_unfinished(run), figures=figures)
    return [*figures, page]


def caption_of(run: Path) -> str:
    """Return a run's config in one line, as gradlab prints it; the folder's name if no config can be read."""
    from gradlab.config.saved import load_saved_config

    try:
        config, hydra = (load_saved_config(run / ".hydra" / name) for name in ("config.yaml", "hydra.yaml"))
        return console.caption(config, hydra.hydra.runtime.choices)
    except Exception:  # a damaged config has no caption
        return run.resolve().name
