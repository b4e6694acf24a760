"""Wall time of whole sweeps under the fused, the serial and the parallel launcher.

    uv run python scripts/bench_fused.py [--only mlp20] [--repeats 1] [--share 8]

Every sweep is a process of its own with one thread, from the command line to the report. The launchers take turns. A
serial sweep of 256 runs takes minutes, and its cost is proportional to the number of runs, so it is measured with every
``--share``-th seed and scaled up. The startup time of a process is measured by a sweep of one tiny run, and not scaled.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

COMMON = ("figures=false", "train.threads=1")
SWEEPS = {
    "mlp20": (32, ("model.depth=20", "model.width=32", "train.batch_size=32", "train.steps=300"), 8),
    "mlp50": (8, ("model.depth=50", "model.width=64", "train.steps=300"), 8),
    "gru": (8, ("model=gru", "model.width=32", "data=adding", "data.length=100", "train.steps=100"), 8),
    "cnn": (4, ("model=cnn", "train.batch_size=32", "train.steps=100"), 2),
}  # seeds, what every run is, learning rates
LAUNCHERS = ("fused", "serial", "parallel")


def seconds(launcher: str, seeds: int, rates: int, overrides: tuple[str, ...]) -> float:
    """Return the wall time of one sweep."""
    lr = ",".join(f"{0.001 * (i + 1):g}" for i in range(rates))
    with tempfile.TemporaryDirectory() as folder:
        arguments = (f"hydra/launcher={launcher}", f"hydra.sweep.dir={folder}/s", f"seed=range({seeds})")
        command = [sys.executable, "-m", "gradlab.cli", "-m", *arguments, f"optimizer.lr={lr}", *COMMON, *overrides]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
        return time.perf_counter() - began


def main() -> None:
    """Print a table of wall times and of the fused launcher's speedup."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", choices=SWEEPS, nargs="*", default=list(SWEEPS))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--share", type=int, default=8)
    options = parser.parse_args()
    for name in options.only:
        seeds, overrides, rates = SWEEPS[name]
        share = {"fused": seeds, **{other: max(1, seeds // options.share) for other in LAUNCHERS[1:]}}
        whole: dict[str, list[float]] = {launcher: [] for launcher in LAUNCHERS}
        for _ in range(options.repeats):
            for launcher in LAUNCHERS:
                first = seconds(launcher, 1, 1, ("train=smoke", "train.steps=1", "model.depth=1"))
                taken = seconds(launcher, share[launcher], rates, overrides)
                whole[launcher].append(first + (taken - first) * seeds / share[launcher])
        found = {launcher: statistics.median(times) for launcher, times in whole.items()}
        words = [f"{launcher} {time:.1f} s ({time / found['fused']:.1f} x)" for launcher, time in found.items()]
        print(f"{name}, {seeds * rates} runs: {', '.join(words)}", flush=True)


if __name__ == "__main__":
    main()
