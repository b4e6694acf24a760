"""Comparison of theory and measurement on random networks at initialization, as a table and the share that agrees.

uv run python scripts/check_theory.py --configs 60 --seed 1
"""

import argparse
import random
import tempfile
import time
from collections import Counter
from math import exp, log
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from gradlab.artifacts.record import load_run
from gradlab.config import schema
from gradlab.config.paths import CONFIGS
from gradlab.run.execute import execute

# float64 everywhere, because figures outside float32's range could not be compared.
FIXED = ("train=init", "figures=false", "train.checkpoint=false", "train.dtype=float64", "data=gaussian")
ACTIVATIONS = ("relu", "leaky_relu", "tanh", "sigmoid", "selu", "elu", "gelu", "silu", "softplus", "softsign", "erf",
               "hardtanh", "mish", "celu", "identity")  # fmt: skip
NORMALIZATIONS = ("none", "none", "none", "layer_norm", "rms_norm", "batch_norm")
RESIDUALS = ("none", "none", "pre_activation", "scaled")


def draw(
    numbers: random.Random, *, widths: tuple[int, int] = (256, 1024), depths: tuple[int, int] = (30, 150)
) -> list[str]:
    """Return the overrides of a random network: variances and widths are log-uniform."""
    width = round(exp(numbers.uniform(log(widths[0]), log(widths[1]))))
    return [
        f"activation={numbers.choice(ACTIVATIONS)}",
        f"normalization={numbers.choice(NORMALIZATIONS)}",
        f"residual={numbers.choice(RESIDUALS)}",
        f"model.width={width}",
        f"data.features={width}",
        f"model.depth={numbers.randint(*depths)}",
        "initializer=mean_field",
        f"initializer.weight_variance={10 ** numbers.uniform(-0.5, 0.7):.4g}",
        f"initializer.bias_variance={numbers.choice((0.0, 10 ** numbers.uniform(-3, 0))):.4g}",
        f"train.batch_size={numbers.choice((32, 64, 128))}",
        f"seed={numbers.randrange(10**6)}",
    ]


def measure(overrides: list[str], folder: Path) -> dict[str, Any] | str:
    """Do a run and return ``theory`` of its run.json."""
    schema.register()
    with initialize_config_dir(config_dir=str(CONFIGS), version_base="1.3"):
        cfg = compose("config", overrides=[*FIXED, *overrides])
    folder.mkdir()
    execute(cfg, folder, choices={}, brief=True)
    return load_run(folder).get("theory") or ""


def line(theory: dict[str, Any] | str) -> tuple[str, str]:
    """Return the outcome as a word, and the figures of a line of the table."""
    if isinstance(theory, str):
        return "none", theory
    word = {True: "agrees", False: "MISS", None: "unjudged"}[theory["agreement"]]
    measured = theory["measurement"] or {"log_growth": float("nan")}
    figures = (theory["prediction"]["log_growth"], measured["log_growth"], theory["difference"], theory["limit"])
    return word, "".join("     none" if figure is None else f"{figure:9.4f}" for figure in figures)


def main() -> None:
    """Draw, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    numbers = random.Random(options.seed)
    began, misses = time.monotonic(), []
    counts: Counter[str] = Counter()
    print("outcome  predicted measured difference     limit  (growth of ln ||dL/dz||^2 for one layer back)")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.configs):
            overrides = draw(numbers)
            word, figures = line(measure(overrides, Path(folder) / str(number)))
            counts[word] += 1
            words = " ".join(override.split(".")[-1] for override in overrides)
            print(f"{word:9}{figures}  {words}", flush=True)
            misses += [words] if word == "MISS" else []
    judged = counts["agrees"] + counts["MISS"]
    rest = f"{counts['unjudged']} unjudged, {counts['none']} without prediction; {time.monotonic() - began:.0f} s"
    print(f"{counts['agrees']} of {judged} agree ({counts['agrees'] / max(judged, 1):.1%}), {rest}")
    for words in misses:
        print(f"missed: {words}")


if __name__ == "__main__":
    main()
