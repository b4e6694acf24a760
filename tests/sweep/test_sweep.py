import json
import os

import pytest
from hydra.core.utils import JobReturn
from hydra.types import RunMode
from omegaconf import OmegaConf
from tests.support.made_up import make_study, make_sweep

from gradlab.artifacts.lock import holding
from gradlab.config.run_name import DIGITS, MAX_LENGTH, earlier_name, find_folder, run_name
from gradlab.sweep import rebuild
from gradlab.sweep.callback import Sweep, launched, note_runs, read_records
from gradlab.sweep.summary import read_rows


def test_a_name_does_not_depend_on_the_order_of_overrides():
    assert run_name(["b=2", "a=1"]) == run_name(["a=1", "b=2"])
    assert run_name(["b=2", "a=1"]).startswith("a=1,b=2-")


def test_a_name_is_short_safe_and_unique():
    long = [f"data.path=/some/where/{'x' * 200}", "model.depth=[1, 2]"]
    name = run_name(long)
    assert len(name) == MAX_LENGTH + 1 + DIGITS
    assert not set(name) & set("/\\:*?\"<>| []$'")
    assert name != run_name([*long, "seed=1"])
    assert run_name([]).startswith("defaults-")


def record(folder, name, **content):
    (folder / name / ".hydra").mkdir(parents=True)
    (folder / name / ".hydra" / "hydra.yaml").touch()
    if content:
        (folder / name / "run.json").write_text(json.dumps(content))


def finish(folder):
    Sweep().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(folder)}}}))


def test_a_sweep_without_failures_ends_quietly(tmp_path, capsys):
    record(tmp_path, "a", status="completed")
    record(tmp_path, "b", status="diverged")
    finish(tmp_path)
    assert capsys.readouterr() == (f"1 completed, 1 diverged, 0 failed: {tmp_path}\n", "")


def test_a_remedy_that_fails_is_a_result_and_the_config_as_it_is_is_not(tmp_path, capsys):
    trials = make_study(tmp_path, losses={"as it is": (2.0, 2.2), "good": (0.1, 0.2)})

    def fail(name):
        content = json.loads((tmp_path / name / "run.json").read_text()) | {"status": "failed", "error": "why"}
        (tmp_path / name / "run.json").write_text(json.dumps(content))

    fail(trials[1].folders[0])
    finish(tmp_path)
    assert f"gradlab: {trials[1].folders[0]} failed: why\n" in capsys.readouterr().err
    fail(trials[0].folders[0])
    with pytest.raises(SystemExit) as end:
        finish(tmp_path)
    assert end.value.code == 1


def test_failed_and_lost_runs_are_named_and_exit_with_1(tmp_path, capsys):
    record(tmp_path, "a", status="failed", error="model.depth must be at least 1, got 0")
    record(tmp_path, "lost")
    record(tmp_path, "stopped", status="interrupted")
    assert read_records(tmp_path)["lost"]["status"] == "failed"
    with pytest.raises(SystemExit) as end:
        finish(tmp_path)
    assert end.value.code == 1
    out, err = capsys.readouterr()
    assert out == f"0 completed, 0 diverged, 2 failed, 1 interrupted: {tmp_path}\n"
    assert err.splitlines() == [
        "gradlab: a failed: model.depth must be at least 1, got 0",
        "gradlab: lost failed: it left no readable run.json",
    ]


def test_runs_of_an_earlier_sweep_in_the_folder_are_not_counted(tmp_path, capsys):
    record(tmp_path, "old", status="failed", error="long ago")
    os.utime(tmp_path / "old" / "run.json", (4e9, 4e9))  # no clock decides
    sweep = Sweep()
    sweep.on_multirun_start(OmegaConf.create())
    note_runs([tmp_path / "new", tmp_path / "lost"])
    record(tmp_path, "new", status="completed")
    os.utime(tmp_path / "new" / "run.json", (0, 0))
    with pytest.raises(SystemExit) as end:
        sweep.on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert end.value.code == 1
    out, err = capsys.readouterr()
    assert out.startswith("1 completed, 0 diverged, 1 failed")
    assert err.splitlines()[-1] == "gradlab: lost failed: it left no readable run.json"


def test_runs_that_another_process_is_doing_are_counted_and_are_no_failure(tmp_path, capsys):
    record(tmp_path, "mine", status="completed")
    record(tmp_path, "theirs")
    with holding(tmp_path / "theirs"):
        finish(tmp_path)
    line = f"1 completed, 0 diverged, 0 failed, 1 still being done by another process: {tmp_path}\n"
    assert capsys.readouterr() == (line, "")


def test_a_run_keeps_the_name_of_an_earlier_version(tmp_path):
    own = ["seed=2471", "model.depth=3"]
    name = run_name(own, tmp_path)
    earlier = tmp_path / earlier_name(name) / ".hydra"
    assert len(name) - len(earlier.parent.name) == 10
    earlier.mkdir(parents=True)
    (earlier / "overrides.yaml").write_text(json.dumps(["model.depth=3", "seed=3787"]))  # another run's
    assert run_name(own, tmp_path) == name
    (earlier / "overrides.yaml").write_text(json.dumps(own))
    assert run_name(own, tmp_path) == earlier.parent.name
    assert find_folder(tmp_path, name) == earlier.parent
    (tmp_path / name).mkdir()
    assert run_name(own, tmp_path) == find_folder(tmp_path, name).name == name


def test_names_that_collided_are_distinct():
    shared = ["activation=leaky_relu", "figures=False", "initializer=kaiming_normal", "lr_scheduler=warmup_cosine",
              "model.depth=3", "optimizer=adamw", "train=smoke"]  # fmt: skip
    names = [run_name([*shared, f"seed={seed}"]) for seed in (2471, 3787)]
    assert names[0] != names[1]
    assert earlier_name(names[0]) == earlier_name(names[1])


@pytest.fixture(autouse=True)
def no_sweep_before():
    launched.clear()
    yield
    launched.clear()


def config_of(folder, run, mode=RunMode.MULTIRUN):
    hydra = {"mode": mode, "sweep": {"dir": str(folder)}, "runtime": {"output_dir": str(run)}}
    return OmegaConf.create({"hydra": hydra})


def test_the_summary_grows_with_every_run(tmp_path):
    runs = make_sweep(tmp_path, [["seed=0"], ["seed=1"]])
    for done, run in enumerate(runs, start=1):
        Sweep().on_job_end(config_of(tmp_path, run), JobReturn())
        assert len(read_rows(tmp_path / "summary.csv")[1]) == done
    assert not (tmp_path / "report.html").exists()
    alone = make_sweep(tmp_path / "alone", [["seed=0"]])[0]
    Sweep().on_job_end(config_of(tmp_path / "alone", alone, mode=RunMode.RUN), JobReturn())
    assert not (tmp_path / "alone" / "summary.csv").exists()


def test_a_sweep_writes_its_report_unless_figures_are_off(tmp_path):
    for wanted in (True, False):
        folder = tmp_path / str(wanted)
        for run in make_sweep(folder, [["seed=0"], ["seed=1"]]):
            (run / ".hydra" / "hydra.yaml").touch()
            (run / ".hydra" / "config.yaml").write_text(json.dumps({"figures": wanted}))
        finish(folder)
        assert (folder / "summary_by_config.csv").exists()
        assert (folder / "report.html").exists() == wanted


def test_a_failed_report_does_not_hide_the_results(tmp_path, capsys, monkeypatch):
    record(tmp_path, "a", status="failed", error="why")

    def broken(*arguments, **options):
        raise ValueError("no ink")

    monkeypatch.setattr(rebuild, "rebuild", broken)
    with pytest.raises(SystemExit):
        finish(tmp_path)
    out, err = capsys.readouterr()
    assert out.startswith("0 completed, 0 diverged, 1 failed")
    assert err.splitlines() == ["gradlab: no report: ValueError: no ink", "gradlab: a failed: why"]
