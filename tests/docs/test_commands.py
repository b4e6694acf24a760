"""What README and the documentation show: each command is one, each override composes, each page runs."""

from importlib import import_module
from pathlib import Path

import pytest
from hydra.errors import HydraException
from tests.support import shown
from tests.support.forked import Forked
from tests.support.running import compose_config

from gradlab.api.through_hydra import config_dirs
from gradlab.cli.command import parse
from gradlab.config.build import check
from gradlab.errors import GradlabError

PAGES = [page for page in shown.pages() if shown.shown(page) or shown.commands_of(page)]


def named(page: Path) -> str:
    return page.relative_to(shown.ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_console_block_holds_commands(page):
    for block in shown.shown(page):
        if block.language == "console":
            assert block.commands, f"{named(page)}:{block.line}: no line begins with '$ '"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_python_block_compiles(page):
    for block in shown.shown(page):
        if block.language == "python":
            compile(block.text, f"{named(page)}:{block.line}", "exec")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_of_gradlab_is_accepted(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    write_files(page, tmp_path)
    for command in shown.commands_of(page):
        if command.program != "gradlab":
            accept(command)
            continue
        arguments = parse(list(command.words))
        if arguments.config_dir:
            config_dirs(arguments.config_dir)  # options of the page's own: only running them can check them
            continue
        runs = shown.combinations(arguments.overrides) if command.sweeps else [arguments.overrides]
        for overrides in (runs[0], runs[-1]):
            try:
                check(compose_config(*(text for text in overrides if not text.startswith("hydra"))))
            except (GradlabError, HydraException) as error:
                pytest.fail(f"{command.where}: {' '.join(command.words)}: {error}")


def accept(command):
    """Parse a command other than gradlab; its folders may be made up. A Python file must be one of the page's."""
    if command.program == "python":
        assert Path(command.words[0]).exists(), f"{command.where}: no block gives {command.words[0]}"
        return
    module = import_module(f"gradlab.cli.{command.program.removeprefix('gradlab-')}")
    parser = module._parser()
    parser.parse_args(list(command.words))


def write_files(page, folder):
    for block in shown.shown(page):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")


@pytest.fixture(scope="module")
def forked():
    with Forked() as process:
        yield process


@pytest.mark.docs
@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_s_commands_and_code_run_in_order(page, tmp_path, forked):
    write_files(page, tmp_path)
    for block in shown.shown(page):
        where = f"{named(page)}:{block.line}"
        if block.language == "python" and not block.file:
            (tmp_path / "shown.py").write_text(block.text, encoding="utf-8")
            code, printed = forked.run("python", ["shown.py"], tmp_path)
            assert code == 0, f"{where}\n{printed}"
        for command in shown.gradlab_commands(block):
            words = runnable(command, tmp_path)
            if words is not None:
                code, printed = forked.run(command.program, words, tmp_path)
                assert code in (0, 3), f"{where}: {command.program} {' '.join(words)}\n{printed}"


def runnable(command, folder):
    """The arguments to run, None where a command is too long for a test, or is about folders that are not there."""
    if command.program == "python":
        return list(command.words)
    if command.program != "gradlab":
        paths = [word for word in command.words if "/" in word and not word.startswith("-")]
        there = all((folder / path).exists() for path in paths)
        return list(command.words) if there and "--open" not in command.words else None
    if any(text.startswith(("hydra/sweeper=", "experiment=")) for text in command.overrides):
        return None  # the gallery runs experiments; sweepers have tests of their own
    if shown.needs_plugin(command):
        return None
    if command.sweeps and len(shown.combinations(command.overrides)) > shown.FEW_RUNS:
        return None
    return shown.quickened(command)
