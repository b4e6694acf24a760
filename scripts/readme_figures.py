"""Make what README.md shows: the figures in docs/img and the table of strategies.

    uv run python scripts/readme_figures.py figures
    uv run python scripts/readme_figures.py table

Every figure and every number comes from a real run of the command line, done in a temporary folder.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "img"
NET = ("activation=sigmoid", "initializer=xavier_normal", "model.depth=20")
FIGURES = {"vanishing": NET, "residual": (*NET, "residual=pre_activation")}
STRATEGIES = (
    ("nothing", ()),
    ("activation with slope near 1", ("activation=tanh",)),
    ("relu alone, on Xavier's weights", ("activation=relu",)),
    ("relu on weights made for it", ("activation=relu", "initializer=kaiming_normal")),
    ("He's weights alone", ("initializer=kaiming_normal",)),
    ("larger weights", ("initializer=mean_field", "initializer.weight_variance=16")),
    ("larger orthogonal weights", ("initializer=orthogonal", "initializer.gain=4")),
    ("weights scaled to the data", ("initializer=lsuv",)),
    ("batch normalization", ("normalization=batch_norm",)),
    ("layer normalization", ("normalization=layer_norm",)),
    ("skip, activation after the sum", ("residual=identity",)),
    ("skip, nothing after the sum", ("residual=pre_activation",)),
    ("the same, branches scaled down", ("residual=scaled",)),
    ("the same, branches start closed", ("residual=rezero",)),
    ("the same, last layer starts at 0", ("residual=fixup",)),
    ("learned gates", ("residual=highway",)),
    ("clipping the gradient", ("clipping=norm",)),
    ("the gradient divided by its norm", ("clipping=normalize",)),
    ("adaptive optimizer", ("optimizer=adam",)),
    ("steps in proportion to each tensor's norm", ("optimizer=lars",)),
    ("the same, with Adam's direction", ("optimizer=lamb",)),
    ("a step size per weight, signs alone", ("optimizer=rprop",)),
    ("warm-up, then decay", ("lr_scheduler=warmup_cosine",)),
    ("decay with warm restarts", ("lr_scheduler=warm_restarts",)),
    ("fewer layers", ("model.depth=5",)),
    ("fewer still", ("model.depth=3",)),
    ("inputs ten times larger", ("data.scale=10",)),
    ("inputs not standardized", ("data.standardize=false",)),
)


def main(what: str) -> None:
    """Make the ``figures`` or print the ``table``."""
    with tempfile.TemporaryDirectory() as scratch:
        if what == "figures":
            make_figures(Path(scratch))
        elif what == "table":
            print_table(Path(scratch))
        else:
            sys.exit("usage: readme_figures.py figures|table")


def make_figures(scratch: Path) -> None:
    """Run each network of `FIGURES` and copy its gradient flow to docs/img."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, overrides in FIGURES.items():
        run(overrides, scratch / name)
        shutil.copyfile(scratch / name / "figures" / "gradient_flow.png", IMAGES / f"{name}.png")
        print(IMAGES / f"{name}.png")


def print_table(scratch: Path) -> None:
    """Run each strategy on one network and print a Markdown row for it."""
    print("| strategy | override | layer 1 / layer 20, step 0 | last step | test accuracy |\n|---|---|---|---|---|")
    for number, (strategy, overrides) in enumerate(STRATEGIES):
        metrics = run((*replaced(NET, overrides), "figures=false"), scratch / str(number))["metrics"]
        ratios = [f"{float(metrics[f'gradient_ratio_{when}']):.2g}" for when in ("initial", "final")]
        override = f"`{' '.join(overrides)}`" if overrides else ""
        print(f"| {strategy} | {override} | {' | '.join(ratios)} | {metrics['eval_accuracy']:.3f} |", flush=True)


def replaced(base: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return the overrides of ``base`` that ``overrides`` does not set anew, then ``overrides``."""
    keys = {text.partition("=")[0] for text in overrides}
    return [*(text for text in base if text.partition("=")[0] not in keys), *overrides]


def run(overrides: Sequence[str], folder: Path) -> dict[str, Any]:
    """Run gradlab into ``folder`` and return its run.json."""
    command = ["gradlab", *overrides, f"hydra.run.dir={folder}", "train.checkpoint=false"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(*sys.argv[1:2] or [""])
