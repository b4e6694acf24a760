"""Run a remedies sweep twice with different seeds, and compare the tiers with each other and with random pairs.

    uv run python scripts/bench_remedies.py activation=sigmoid model.depth=30
    uv run python scripts/bench_remedies.py model=rnn data=adding data.length=60 --to DIR
    uv run python scripts/bench_remedies.py --to DIR --read          # compare the sweeps in DIR

Prints Kendall's tau-b between the tiers of all remedies and pairs that are in both sweeps, wall-clock and processor
seconds, and the rank of the random pairs. Trials that did not complete share the last tier.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from scipy.stats import kendalltau

from gradlab.sweep.remedies.outcomes import Outcome, read_outcomes
from gradlab.sweep.remedies.plan import read_plan

SEEDS = (0, 1000)  # first of three consecutive seeds of each sweep


def main() -> None:
    """Run or read both sweeps, and print their agreement."""
    parser = argparse.ArgumentParser(description="Compare two remedies sweeps with other seeds.")
    parser.add_argument("overrides", nargs="*", help="of the config to mend")
    parser.add_argument("--to", type=Path, help="where the sweeps go; a temporary folder by default")
    parser.add_argument("--read", action="store_true", help="run nothing")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = [(args.to or Path(scratch)) / f"seed{seed}" for seed in SEEDS]
        for seed, folder in zip(SEEDS, folders, strict=True):
            if not args.read:
                run(args.overrides, seed, folder)
        compare([read_outcomes(folder, read_plan(folder)) for folder in folders])


def run(overrides: Sequence[str], seed: int, folder: Path) -> None:
    """Run one sweep by the command line, and print its wall-clock and processor seconds."""
    words = ["gradlab.cli", "-m", "hydra/sweeper=remedies", *overrides, f"seed={seed}", f"hydra.sweep.dir={folder}"]
    began, spent = time.monotonic(), processor_seconds()
    subprocess.run([sys.executable, "-m", *words], stdout=subprocess.DEVNULL, check=False)
    print(f"seed {seed}: {time.monotonic() - began:.0f} s, processor {processor_seconds() - spent:.0f} s", flush=True)


def processor_seconds() -> float:
    """Return the processor time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(sweeps: Sequence[Sequence[Outcome]]) -> None:
    """Print the agreement of two sweeps, and the rank of the random pairs in each."""
    found = [places(outcomes) for outcomes in sweeps]
    common = sorted(set(found[0]) & set(found[1]))
    tau, _ = kendalltau(*([one[name] for name in common] for one in found))
    print(f"Kendall's tau-b of the tiers of {len(common)} remedies and pairs: {tau:.3f}")
    for outcomes in sweeps:
        ranked = [one for one in outcomes if one.completed]
        random = next((one for one in ranked if one.trial.kind == "random"), None)
        where = "did not complete" if random is None else f"rank {random.rank}, tier {random.tier} of {ranked[-1].tier}"
        print(f"best: {ranked[0].trial.name} (loss {ranked[0].loss:.3g}); random pairs: {where}")


def places(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Return name to tier of each remedy, of each pair and of the unchanged config."""
    last = 1 + max((one.tier or 0 for one in outcomes), default=0)
    return {
        one.trial.name: one.tier or last for one in outcomes if one.trial.kind != "random" and not one.trial.refused
    }


if __name__ == "__main__":
    main()
