"""Sweeps under every launcher, as real processes: failed or killed runs stop no others, and only they are repeated."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

SMALL = ("train=smoke", "train.steps=2", "train.eval_every=0", "model.depth=3", "model.width=8", "figures=false")
PARTS = '''
import os
import signal
from pathlib import Path

from torch import nn


def fragile(*, seed: int) -> nn.Module:
    """tanh that raises for seed 1 and kills its process for seed 2, until there is a file `mended`."""
    if not Path("mended").exists():
        if seed == 1:
            raise ValueError("seed 1 is not to my taste")
        if seed == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    return nn.Tanh()
'''
FRAGILE = "# tanh that breaks\n_target_: fragile_parts.fragile\n_partial_: true\nseed: ${seed}\n"


def gradlab(folder: Path, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": path + os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "gradlab.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture
def fragile(tmp_path):
    (tmp_path / "configs" / "activation").mkdir(parents=True)
    (tmp_path / "configs" / "activation" / "fragile.yaml").write_text(FRAGILE)
    (tmp_path / "fragile_parts.py").write_text(PARTS)
    return tmp_path


def sweep(folder: Path, launcher: str, *more: str) -> subprocess.CompletedProcess[str]:
    own = ("--config-dir", "configs", "-m", "activation=fragile", "seed=0,1,2,3", "hydra.sweep.dir=s")
    return gradlab(folder, *own, f"hydra/launcher={launcher}", *SMALL, *more)


@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param("submitit_local", marks=pytest.mark.slurm),
        pytest.param("ray", marks=pytest.mark.ray),
    ],
)
def test_failed_and_killed_runs_do_not_stop_the_others_and_only_they_run_again(fragile, launcher):
    done = sweep(fragile, launcher)
    assert done.returncode == 1, done.stderr
    assert "2 completed, 0 diverged, 2 failed: s" in done.stdout
    messages = [line for line in done.stderr.splitlines() if line.startswith("gradlab: ")]
    assert len(messages) == 2
    assert "seed 1 is not to my taste" in messages[0]
    assert "seed=1" in messages[0]
    assert "its process was lost" in messages[1]
    assert "seed=2" in messages[1]
    before = {path: path.stat().st_mtime for path in fragile.glob("s/*/gradients.csv")}
    (fragile / "mended").touch()
    again = sweep(fragile, launcher)
    assert again.returncode == 0, again.stderr
    assert "4 completed, 0 diverged, 0 failed: s" in again.stdout
    after = {path: path.stat().st_mtime for path in fragile.glob("s/*/gradients.csv")}
    assert len(before) == 2
    assert len(after) == 4
    assert {path: after[path] for path in before} == before


@pytest.mark.slow
def test_joblib_loses_its_batch_with_a_killed_process_but_no_finished_run(fragile):
    done = sweep(fragile, "parallel", "hydra.launcher.n_jobs=2")
    assert done.returncode == 1, done.stderr
    assert "its process was lost" in done.stderr
    (fragile / "mended").touch()
    again = sweep(fragile, "parallel", "hydra.launcher.n_jobs=2")
    assert again.returncode == 0, again.stderr
    assert "4 completed" in again.stdout


@pytest.mark.optuna
def test_optuna_searches_numbers_and_groups_and_tolerates_diverged_runs(tmp_path):
    search = ("optimizer.lr=choice(0.01,1e4)", "activation=tanh,relu", "hydra.sweeper.n_trials=6")
    sizes = ("train=smoke", "model.depth=3", "model.width=8", "figures=false", "hydra.sweeper.sampler.seed=0")
    done = gradlab(tmp_path, "-m", "hydra/sweeper=optuna", *search, *sizes, "hydra.sweep.dir=s")
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in tmp_path.glob("s/*/run.json")]
    assert "diverged" in {record["status"] for record in records}
    best = yaml.safe_load((tmp_path / "s" / "optimization_results.yaml").read_text())
    losses = [record["metrics"]["eval_loss"] for record in records if record["status"] == "completed"]
    assert best["best_value"] == min(losses)


def stub(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


# A cluster that starts an array job of two tasks shortly after its submission, once submitit has written its files.
SBATCH = """
import os, re, subprocess, sys
text = open(sys.argv[-1]).read()
command = re.search(r"^srun .*_log.err (.*)$", text, re.MULTILINE)[1]
for task in range(2):
    names = {"SLURM_JOB_ID": f"{7 + task}", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": str(task),
             "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NTASKS": "1",
             "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_NODELIST": "here", "SUBMITIT_EXECUTOR": "slurm"}
    own = command.replace("%j", f"7_{task}")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen(f"sleep 3; {own}", shell=True, env=os.environ | names, **quiet)
print("Submitted batch job 7")
"""
SACCT = """
print("JobID|State|NodeList")
for task in range(2):
    print(f"7_{task}|RUNNING|here")
"""


@pytest.mark.slurm
def test_slurm_gets_one_array_job_with_the_resources_asked_for(tmp_path):
    commands = tmp_path / "bin"
    for name, text in (("sbatch", SBATCH), ("sacct", SACCT), ("srun", ""), ("scancel", "")):
        stub(commands, name, text)
    asked = ("partition=gpu", "gpus_per_task=1", "array_parallelism=64", "timeout_min=90", "mem_gb=16")
    keys = [f"hydra.launcher.{item}" for item in (*asked, "setup=[module load cuda]")]
    done = gradlab(
        tmp_path, "-m", "hydra/launcher=slurm", "seed=0,1", "hydra.sweep.dir=s", *keys, *SMALL, path=f"{commands}:"
    )
    assert done.returncode == 0, done.stderr
    assert "2 completed, 0 diverged, 0 failed: s" in done.stdout
    (script,) = {path.resolve() for path in tmp_path.glob("s/.submitit/*/*submission.sh")}
    lines = script.read_text().splitlines()
    pages = [page.read_text() for page in Path(__file__).parents[2].joinpath("docs").rglob("*.md")]
    (page,) = [text for text in pages if "#SBATCH" in text]
    shown = [line for line in page.splitlines() if line.startswith(("#SBATCH", "module load"))]
    assert len(shown) == 8
    assert not set(shown) - set(lines)
    assert lines.index("module load cuda") < next(i for i, line in enumerate(lines) if line.startswith("srun"))
