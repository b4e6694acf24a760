"""Make the figures that README.md and the first pages of the documentation show, in docs/img.

    uv run python scripts/readme_figures.py

Each comes from a real run of the command line, done in a temporary folder. `remedy_table.py` makes their table.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "img"
NET = ("activation=sigmoid", "initializer=xavier_normal", "model.depth=20")
FIGURES = {"vanishing": NET, "residual": (*NET, "residual=pre_activation")}


def main() -> None:
    """Make the figures."""
    with tempfile.TemporaryDirectory() as scratch:
        make_figures(Path(scratch))


def make_figures(scratch: Path) -> None:
    """Run each network of `FIGURES` and copy its gradient flow to docs/img."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, overrides in FIGURES.items():
        run(overrides, scratch / name)
        shutil.copyfile(scratch / name / "figures" / "gradient_flow.png", IMAGES / f"{name}.png")
        print(IMAGES / f"{name}.png")


def run(overrides: Sequence[str], folder: Path) -> None:
    """Run gradlab into ``folder``."""
    command = ["gradlab", *overrides, f"hydra.run.dir={folder}", "train.checkpoint=false"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
