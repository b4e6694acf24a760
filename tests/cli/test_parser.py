"""What all commands share: help, versions, JSON, exit codes."""

import json
import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points, version

import pytest

import gradlab
from gradlab.cli.parser import Answer, CommandParser, serve

COMMANDS = {
    entry.name: entry.value.partition(":")[0]
    for entry in entry_points(group="console_scripts")
    if entry.value.startswith("gradlab.")
}
OTHERS = sorted(set(COMMANDS) - {"gradlab"})


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run a command in this process and return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr("gradlab.cli.command.WANTS_TRACEBACK", False)

    def run(command, *arguments):
        monkeypatch.setattr(sys, "argv", [command, *arguments])
        try:
            import_module(COMMANDS[command]).main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return run


def test_the_commands_are_these():
    assert sorted(COMMANDS) == ["gradlab", "gradlab-diff", "gradlab-explain", "gradlab-report", "gradlab-reproduce"]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_has_the_same_sections_in_the_same_order(call, command):
    code, out, err = call(command, "--help")
    assert (code, err) == (0, "")
    titles = re.findall(r"^(usage|examples|arguments|flags|exit codes):", out, flags=re.MULTILINE)
    own = ["arguments"] if command != "gradlab" else []  # its arguments are the groups and settings
    assert titles == ["usage", "examples", *own, "flags", "exit codes"]
    examples = re.findall(
        r"^  (gradlab\S*)(?: .*\S)?  +\S", out.partition("examples:")[2].partition(":\n")[0], re.MULTILINE
    )
    assert set(examples) == {command}
    for flag in ("-h, --help", "--version", "--json"):
        assert re.search(rf"^  {flag} ", out, flags=re.MULTILINE), flag
    assert out.rstrip().endswith("130  Ctrl-C")
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_shows_the_versions(call, command):
    line = f"gradlab {gradlab.__version__} (torch {version('torch')}, hydra-core {version('hydra-core')})\n"
    assert call(command, "--version") == (0, line, "")
    code, out, _ = call(command, "--version", "--json")
    answer = json.loads(out)
    assert code == 0
    assert list(answer) == ["schema", "command", "version", "exit_code", "errors", "result"]
    assert (answer["schema"], answer["command"], answer["version"]) == (1, command, gradlab.__version__)
    assert answer["result"] == {
        "gradlab": gradlab.__version__, "torch": version("torch"), "hydra-core": version("hydra-core")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("gradlab", ["--options", "actvation"]),
        ("gradlab", ["activation=tahn"]),
        ("gradlab-explain", ["nowhere"]),
        ("gradlab-explain", []),
        ("gradlab-report", ["nowhere"]),
        ("gradlab-diff", ["nowhere", "elsewhere"]),
        ("gradlab-diff", ["a", "--tolerance", "x"]),
        ("gradlab-reproduce", ["nothing"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_an_error_is_one_line_or_json_with_the_same_exit_code(call, command, arguments):
    code, out, err = call(command, *arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    as_json, out, nothing = call(command, *arguments, "--json")
    answer = json.loads(out)
    assert (as_json, nothing) == (1, "")
    assert (answer["exit_code"], answer["result"]) == (1, None)
    if arguments != ["activation=tahn"]:  # which --json does not go with
        assert f"{command}: {answer['errors'][0]}\n" == err


def test_options_as_json(call):
    code, out, _ = call("gradlab", "--options", "activation", "--json")
    groups = json.loads(out)["result"]["groups"]
    assert code == 0
    assert list(groups) == ["activation"]
    assert groups["activation"]["relu"].startswith("max(0, x)")
    assert len(json.loads(call("gradlab", "--options", "--json")[1])["result"]["groups"]) > 10


def test_json_does_not_go_with_a_run(call, tmp_path):
    code, out, _ = call("gradlab", "train=smoke", "--json")
    assert code == 1
    assert json.loads(out)["errors"] == [
        "--json goes with --version and --options; what a run finds is in its run.json"
    ]
    assert not list(tmp_path.iterdir())


def test_json_is_strict(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gradlab-x", "--json"])
    parser = CommandParser("gradlab-x", summary="X.", examples=[("", "x")])
    with pytest.raises(SystemExit) as end:
        serve(parser, lambda arguments: Answer(result={"a": [float("nan"), float("-inf"), 0.1]}, exit_code=3))
    assert end.value.code == 3
    assert json.loads(capsys.readouterr().out)["result"] == {"a": ["nan", "-inf", 0.1]}


def test_ctrl_c_is_130_in_every_command(capsys, monkeypatch):
    def interrupt(arguments):
        raise KeyboardInterrupt

    parser = CommandParser("gradlab-x", summary="X.", examples=[("", "x")])
    for words, printed in (([], ("", "gradlab-x: interrupted\n")), (["--json"], None)):
        monkeypatch.setattr(sys, "argv", ["gradlab-x", *words])
        with pytest.raises(SystemExit) as end:
            serve(parser, interrupt)
        assert end.value.code == 130
        out = capsys.readouterr()
        assert out == printed if printed else json.loads(out.out)["errors"] == ["interrupted"]


@pytest.mark.parametrize("command", OTHERS)
def test_help_imports_nothing_heavy(command):
    code = (
        f"import sys\nfrom {COMMANDS[command]} import main\nsys.argv = [{command!r}, '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "assert not {'torch', 'pandas', 'matplotlib', 'hydra'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-m", "train.steps=\u00e9"], "cannot read 'train.steps=\u00e9'"),
        (["-m", "objective=[1,2"], "cannot read 'objective=[1,2'"),
        (["-m", "train.steps=1", "fig\\ure=true"], "cannot read 'fig\\ure=true'"),
        (["-m", "seed=abc,1"], "got abc,1"),
        (["-m", "train.steps=[],3"], "got [],3"),
    ],
)
def test_what_a_sweep_cannot_read_is_named(call, arguments, line):
    code, _, err = call("gradlab", *arguments, "hydra.sweep.dir=s")
    assert code == 1
    assert line in err
    assert "ChoiceSweep" not in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("alone", [True, False])
def test_a_junit_file_that_is_no_text_is_refused_in_a_line(call, alone):
    flags = [] if alone else ["-m", "hydra.sweep.dir=s", "figures=false"]
    code, _, err = call("gradlab", *flags, "gate.junit=5", "train=smoke")
    assert code == 1
    assert "gate.junit must be" in err
    assert "Traceback" not in err
    assert "TypeError" not in err
