"""The command `gradlab-report`: everything that is drawn, drawn again from the files that runs left behind.

Like `gradlab.cli` it imports nothing heavy at its top, so that `--help` and a mistyped folder are answered at once;
torch is never imported.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from gradlab.errors import GradlabError


def main() -> None:
    """Run the command line in `sys.argv`.

    Raises:
        SystemExit: With 1 after an error, or where a run was skipped because its files are broken.
    """
    parser = ArgumentParser(
        prog="gradlab-report", description="Redraw the figures of runs from their files.", allow_abbrev=False
    )
    parser.add_argument("folders", nargs="+", metavar="DIR", type=Path, help="folder of a run")
    parser.add_argument("--open", action="store_true", help="show the result in the browser")
    args = parser.parse_args()
    try:
        skipped = redraw(args.folders, show=args.open)
    except GradlabError as error:
        print(f"gradlab-report: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(1 if skipped else 0)


def redraw(folders: Sequence[Path], *, show: bool = False) -> dict[Path, str]:
    """Draw the figures of every run in the folders.

    Args:
        folders: Runs, or folders that hold runs.
        show: Whether to open a figure of the first run.

    Returns:
        The runs that were skipped, and why.

    Raises:
        GradlabError: A folder is not there or holds no run.
    """
    from gradlab.sweep.folders import find_runs

    skipped: dict[Path, str] = {}
    for folder in folders:
        if not folder.is_dir():
            raise GradlabError(f"{folder}: there is no such folder")
        runs = list(find_runs(folder))
        if not runs:
            raise GradlabError(f"{folder}: holds no run: a run's folder has a run.json or a gradients.csv")
        for run in runs:
            try:
                paths = draw(run)
                print(run / "figures" if paths else f"{run}: nothing was recorded")
            except (OSError, ValueError) as error:
                skipped[run] = str(error)
                print(f"gradlab-report: {run}: skipped: {error}", file=sys.stderr)
                continue
            if show and paths:
                import webbrowser

                show = not webbrowser.open(paths[1].resolve().as_uri())
    return skipped


def draw(run: Path) -> list[Path]:
    """Draw the figures of one run and return the files written."""
    from gradlab.view.figures import draw_run

    return draw_run(run, caption=caption(run))


def caption(run: Path) -> str:
    """Return a run's configuration in one line, as gradlab prints it; the folder's name where no config was kept."""
    from omegaconf import DictConfig, OmegaConf

    from gradlab import console

    try:
        config, hydra = (OmegaConf.load(run / ".hydra" / name) for name in ("config.yaml", "hydra.yaml"))
        assert isinstance(config, DictConfig)
        return console.caption(config, hydra.hydra.runtime.choices)
    except (OSError, AttributeError):
        return run.resolve().name
