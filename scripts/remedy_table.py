"""Print the table of docs/how-to/strategies.md: each remedy alone, on one deep sigmoid net that does not train.

    uv run python scripts/remedy_table.py

Every number comes from a real run in a temporary folder. Each row is printed once its run has ended.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from gradlab.config import schema
from gradlab.config.hydra_compat import INITIALIZE_OPTIONS
from gradlab.config.paths import CONFIGS
from gradlab.run.execute import execute

NET = ("activation=sigmoid", "initializer=xavier_normal", "model.depth=20")
STRATEGIES = (
    ("nothing", ()),
    ("activation with slope near 1", ("activation=tanh",)),
    ("relu alone, on Xavier's weights", ("activation=relu",)),
    ("relu on weights made for it", ("activation=relu", "initializer=kaiming_normal")),
    ("relu that is never flat", ("activation=leaky_relu", "initializer=kaiming_normal")),
    ("the same, smooth", ("activation=elu", "initializer=kaiming_normal")),
    ("He's weights alone", ("initializer=kaiming_normal",)),
    ("weights from U(-1/sqrt n, 1/sqrt n)", ("initializer=uniform",)),
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
    ("the same, branches dropped at random", ("residual=stochastic_depth",)),
    ("learned gates", ("residual=highway",)),
    ("heads at intermediate layers", ("model.auxiliary_every=5",)),
    ("clipping the gradient's norm", ("clipping=norm",)),
    ("clipping each entry", ("clipping=value",)),
    ("the gradient divided by its norm", ("clipping=normalize",)),
    ("adaptive optimizer", ("optimizer=adam",)),
    ("the same without momentum", ("optimizer=rmsprop",)),
    ("the same with all of the past", ("optimizer=adagrad",)),
    ("steps in proportion to each tensor's norm", ("optimizer=lars",)),
    ("the same, with Adam's direction", ("optimizer=lamb",)),
    ("a step size per weight, signs alone", ("optimizer=rprop",)),
    ("a learning rate found by a range test", ("optimizer.lr=auto",)),
    ("decay (1 - t/T)^2", ("lr_scheduler=polynomial",)),
    ("the same, started again at a loss of 2.3", ("lr_scheduler=loss_restart", "lr_scheduler.threshold=2.3")),
    ("warm-up, then decay", ("lr_scheduler=warmup_cosine",)),
    ("decay with warm restarts", ("lr_scheduler=warm_restarts",)),
    ("fewer layers", ("model.depth=5",)),
    ("fewer still", ("model.depth=3",)),
    ("the later layers frozen at first", ("train.freeze=[{depth: [11, 20], until: 300}]",)),
    ("skips, 5 layers that grow to 20", ("residual=pre_activation", "model.depth=5", "train.grow={200: 10, 400: 20}")),
    ("inputs ten times larger", ("data.scale=10",)),
    ("inputs not standardized", ("data.standardize=false",)),
)


def main() -> None:
    """Run each strategy and print a Markdown row for it."""
    print("| strategy | override | layer 1 / last hidden, step 0 | last step | test accuracy |\n|---|---|---|---|---|")
    schema.register()
    with tempfile.TemporaryDirectory() as scratch:
        for number, (strategy, overrides) in enumerate(STRATEGIES):
            folder = Path(scratch, str(number))
            folder.mkdir()
            print(row(strategy, overrides, run(replaced(NET, overrides), folder)), flush=True)


def row(strategy: str, overrides: Sequence[str], record: dict[str, Any]) -> str:
    """Return the Markdown row of one strategy.

    Args:
        strategy: The strategy in words.
        overrides: Overrides that choose it.
        record: Content of the run's run.json.
    """
    metrics = record["metrics"]
    ratios = [f"{float(metrics[f'gradient_ratio_{when}']):.2g}" for when in ("initial", "final")]
    words = " ".join(f"'{text}'" if " " in text else text for text in overrides)
    accuracy = f"{metrics['eval_accuracy']:.3f}" if record["status"] == "completed" else record["status"]
    return f"| {strategy} | {f'`{words}`' if words else ''} | {' | '.join(ratios)} | {accuracy} |"


def replaced(base: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return ``base`` without the keys that ``overrides`` sets, then ``overrides``."""
    keys = {text.partition("=")[0] for text in overrides}
    return [*(text for text in base if text.partition("=")[0] not in keys), *overrides]


def run(overrides: Sequence[str], folder: Path) -> dict[str, Any]:
    """Do a run without figures and checkpoint, and return its run.json."""
    with initialize_config_dir(str(CONFIGS), **INITIALIZE_OPTIONS):
        cfg = compose("config", overrides=[*overrides, "figures=false", "train.checkpoint=false"])
    execute(cfg, folder, choices={}, brief=True)
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
