"""The command gradlab-explain."""

import json
import subprocess
import sys

import pytest
from tests.support.made_up import make_sweep, write_config
from tests.support.running import Run

from gradlab.cli import explain


@pytest.fixture
def command(monkeypatch):
    """Run gradlab-explain in this process and return its exit code."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gradlab-explain", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            explain.main()
        return end.value.code

    return run


@pytest.fixture
def vanished(run) -> Run:
    done = run("train=init", "activation=sigmoid", "model.depth=12", "model.width=32")
    write_config(done.folder, ["activation=sigmoid", "model.depth=12"])
    return done


def test_a_page_names_the_root_cause_first(vanished, command, capsys):
    assert command(vanished.folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("run0")
    assert "gradlab activation=sigmoid model.depth=12" in lines[1]
    assert "ROOT CAUSE: vanishing" in lines
    assert any("layer 1 receives" in line for line in lines)
    assert not any("CONSEQUENCES" in line for line in lines)


def test_json_holds_the_verdicts_of_the_run(vanished, command, capsys):
    assert command("--json", vanished.folder) == 0
    (found,) = json.loads(capsys.readouterr().out)["result"]["runs"]
    record = json.loads((vanished.folder / "run.json").read_text())
    assert found["verdicts"] == record["verdicts"]
    assert (found["root_cause"], found["status"]) == ("vanishing", "completed")


def test_a_run_without_a_config_is_judged_from_its_tables(write_run, command, capsys):
    folder = write_run(gradient=lambda step, depth: 1e-3 ** (6 - depth))
    assert command(folder) == 0
    text = capsys.readouterr().out
    assert "ROOT CAUSE: vanishing" in text
    assert "There is no config" in text


def test_several_runs_have_a_paragraph_each_and_a_tally(tmp_path, command, capsys):
    sweep = [["activation=relu"], ["activation=sigmoid"], ["activation=tanh"]]
    make_sweep(tmp_path, sweep, gradient=lambda step, depth: 1e-3 ** (6 - depth))
    assert command(tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "3 runs: 3 vanishing"
    assert sum(line.startswith("  vanishing: ") for line in lines) == 3


def test_what_is_broken_is_said_in_a_line(write_run, tmp_path, command, capsys):
    broken = write_run(name="broken")
    (broken / "run.json").write_text('{"status": "comp')
    torn = write_run(name="torn")
    with (torn / "gradients.csv").open("a") as file:
        file.write("20,2\n")
    assert command(broken, torn) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "run.json is broken" in said[0]
    for wrong in (tmp_path / "nowhere", "--jsn"):
        assert command(wrong) == 1
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_it_takes_neither_torch_nor_hydra_nor_matplotlib(vanished):
    code = (
        "import sys; from gradlab.cli import explain\n"
        "assert not {'numpy', 'omegaconf', 'yaml'} & set(sys.modules)\n"
        f"sys.argv = ['gradlab-explain', {str(vanished.folder)!r}]\n"
        "try: explain.main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'hydra', 'matplotlib', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_reader_who_has_seen_enough_is_no_error(vanished):
    main = "from gradlab.cli.explain import main; main()"
    command = f"{sys.executable} -c '{main}' --json {vanished.folder} | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("{", "")


def test_a_killed_run_is_judged_from_its_tables(write_run, command, capsys):
    folder = write_run(gradient=lambda step, depth: 1e-3 ** (6 - depth))
    (folder / "run.json").unlink()
    with (folder / "gradients.csv").open("a") as file:
        file.write("30,1,layers.0,ma")  # killed while it wrote the row
    assert command(folder) == 0
    text = capsys.readouterr().out
    assert "cut off at step 20, or still running, train loss 1" in text
    assert "ROOT CAUSE: vanishing" in text


@pytest.mark.parametrize("size", [1000, -200])
def test_a_run_with_a_cut_table_is_not_called_whole(write_run, command, capsys, size):
    folder = write_run()
    (folder / "run.json").write_text(json.dumps({"status": "completed", "hidden_layers": 5, "steps": 21}))
    content = (folder / "gradients.csv").read_bytes()
    (folder / "gradients.csv").write_bytes(content[:size])
    assert command(folder) == 1
    printed = capsys.readouterr()
    assert "No fault was found" not in printed.out
    assert "gradients.csv" in printed.err


def test_a_run_that_was_refused_for_a_missing_value_is_explained(tmp_path, command, capsys):
    run = tmp_path / "run"
    write_config(run, ["model=custom"])
    config = {"model": {"target": "???", "arguments": {"_target_": "${model.target}"}}, "optimizer": {"lr": 0.1}}
    (run / ".hydra" / "config.yaml").write_text(json.dumps(config))
    (run / "run.json").write_text(json.dumps({"status": "failed", "error": "model.target is missing"}))
    assert command(run) == 0
    assert "failed, model.target is missing" in capsys.readouterr().out


def test_a_log_of_another_program_needs_five_columns(command, tmp_path, capsys):
    norms = [f"{step},{depth},layer.{depth},main,{0.4 ** (12 - depth)}" for step in (0, 100) for depth in range(1, 13)]
    lines = ["step,depth_index,layer,role,preactivation_grad_norm", *norms, ""]
    (tmp_path / "gradients.csv").write_text("\n".join(lines))
    assert command(tmp_path) == 0
    printed = capsys.readouterr().out
    assert "gradients vanish: layer 1 receives 0.0001 of layer 11's gradient (x 0.4 per layer)" in printed
