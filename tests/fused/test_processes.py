"""The processes of the fused launcher: what they start in, and what becomes of a sweep when one of them ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tests.support.running import compose_config

from gradlab.artifacts.record import read_run
from gradlab.fused.processes import _one_thread, _own_modules, _sigint_blocked
from gradlab.sweep.summary import read_rows

LONG = ("-m", "hydra/launcher=fused", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=s", "figures=false", "probe.every=0")
RUNS = ("seed=range(64)", "model.depth=2", "model.width=8", "train.eval_every=0")


def test_modules_of_our_own_targets_are_imported_ahead():
    found = _own_modules(compose_config("model=mlp", "data=gaussian", "residual=identity"))
    assert {"gradlab.nn.mlp", "gradlab.nn.residual", "gradlab.nn.initializers"} < found
    assert not any(name.startswith("gradlab.data.digits") for name in found)
    assert all(name.startswith("gradlab.") for name in found)
    theirs = OmegaConf.create({"hydra": {"_target_": "gradlab.a.b"}, "model": {"_target_": "my_net.Net"}})
    assert _own_modules(theirs) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_processes_start_with_sigint_blocked_and_with_one_thread_by_default(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with _one_thread(), _sigint_blocked():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert os.environ["OMP_NUM_THREADS"] == "3"
        assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a sweep in a session of its own, by which its processes are found, and wait until it trains."""
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gradlab.cli", *LONG, *RUNS, *arguments], cwd=folder, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True, text=True,
        )  # fmt: skip
    wait_for(lambda: (folder / "output").read_text().count("runs as one") == 2, seconds=120)
    return process


def wait_for(done, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def members(session: int) -> dict[int, int]:
    """Return each process of a session that still runs, and its parent."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, _, own = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it has just ended
            continue
        if int(own) == session and state != "Z":
            found[int(path.parent.name)] = int(parent)
    return found


def trainers(session: int) -> list[int]:
    """Return the processes of a sweep that train: the children of a child of the one that was started."""
    return [process for process, parent in members(session).items() if session not in (process, parent)]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_that_is_killed_loses_its_own_runs_only(tmp_path):
    process = start(tmp_path, "train.steps=3000")
    os.kill(trainers(process.pid)[0], signal.SIGKILL)
    assert process.wait(timeout=300) == 1
    records = [read_run(path.parent) or {} for path in (tmp_path / "s").glob("*/run.json")]
    assert sorted(record["status"] for record in records) == ["completed"] * 32 + ["failed"] * 32
    failed = {record["error"] for record in records if record["status"] == "failed"}
    assert failed == {"its process was lost (exit code -9)"}
    wait_for(lambda: not members(process.pid), seconds=120)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_sweep(ends, tmp_path):
    process = start(tmp_path, "train.steps=1000000")
    assert len(trainers(process.pid)) == 2
    if ends == signal.SIGINT:
        os.killpg(process.pid, ends)  # as a terminal does
    else:
        process.send_signal(ends)
    code = process.wait(timeout=120)
    wait_for(lambda: not members(process.pid), seconds=120)
    if ends == signal.SIGINT:
        output = (tmp_path / "output").read_text()
        assert code == 130
        assert "Traceback" not in output
        assert "with hydra.sweep.dir=s to run the rest" in output


@pytest.mark.slow
def test_an_interrupt_while_files_are_written_leaves_a_row_for_each_run_that_ended(tmp_path):
    process = start(tmp_path, "train.steps=30")
    wait_for(lambda: (tmp_path / "output").read_text().count("completed in") > 3, seconds=120)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    ended = {path.parent.name for path in (tmp_path / "s").glob("*/run.json")}
    rows = [row["run"] for row in read_rows(tmp_path / "s" / "summary.csv")[1]]
    assert set(rows) == ended
    assert 3 < len(rows) == len(ended)


SCRIPT = """
import sys
from gradlab.cli import main
sys.argv = ["gradlab", *{arguments}]
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("case", ["no guard around main", "a long folder for temporary files", "an added key"])
def test_odd_one_thread(case, tmp_path):
    arguments = [*LONG, "seed=0,1", "model.depth=2", "train.steps=3", "train.eval_every=0"]
    arguments += ["+optimizer.foreach=false"] if case == "an added key" else []
    (tmp_path / "script.py").write_text(SCRIPT.format(arguments=arguments))
    scratch = tmp_path / ("x" * 100 if case.startswith("a long") else "x")
    scratch.mkdir()
    environment = os.environ | {"TMPDIR": str(scratch)}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 completed" in done.stdout
    assert "2 runs as one" in done.stdout
