"""The commands that README and the documentation show, made ready to be composed or run in a test."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from gradlab_docs.shown import Block, blocks, inline_commands
from hydra.core.override_parser.overrides_parser import OverridesParser

from gradlab.cli.command import parse
from tests.support.running import make_loader

ROOT = Path(__file__).parents[2]
# Written by the build; their commands come from configs/experiment, which has tests of its own.
GENERATED = ("gallery", "results.md", "reference/options", "reference/commands.md", "_build", "_from_readme.md")
# What a reader does once to have gradlab, its extras or a viewer. Running it would change the tests' own environment.
SETUP = re.compile(
    r"git clone |cd |python3 -m pip install |(uv )?pip install |uv (sync|add) |tensorboard |mlflow ui |wandb sync |"
    r"uv run pytest|uv run python scripts/|just |apt-get install |source |export |ls |cat |head "
)
PLUGINS = ("slurm", "submitit_local", "ray", "optuna")  # launchers and sweepers that need an extra
FEW_RUNS = 12  # of a sweep; one with more is composed, not run


@dataclass(frozen=True)
class Command:
    """One command of gradlab.

    Attributes:
        where: The page and line of its block.
        program: ``gradlab``, ``gradlab-report``, …, or ``python``, with a file of the page.
        words: Its arguments.
    """

    where: str
    program: str
    words: tuple[str, ...]

    @property
    def sweeps(self) -> bool:
        return any(word in ("-m", "--multirun") for word in self.words)

    @property
    def overrides(self) -> list[str]:
        return list(parse(list(self.words)).overrides)


def pages() -> list[Path]:
    """Every page that may show commands, README first."""
    found = sorted((ROOT / "docs").rglob("*.md"))
    hand_written = [page for page in found if not page.relative_to(ROOT / "docs").as_posix().startswith(GENERATED)]
    return [ROOT / "README.md", *hand_written]


def shown(page: Path) -> list[Block]:
    """A page's blocks that count: commands, Python code and files."""
    return [block for block in blocks(page) if not block.skipped and (block.file or block.language in LANGUAGES)]


LANGUAGES = ("console", "python")


def commands_of(page: Path) -> list[Command]:
    """The commands of gradlab that a page shows, in blocks and in its text."""
    listed = [command for block in shown(page) for command in gradlab_commands(block)]
    for line, words in inline_commands(page):
        own = words[2:] if words[0] == "uv" else words
        listed.append(Command(f"{page.relative_to(ROOT)}:{line}", own[0], tuple(own[1:])))
    return listed


def gradlab_commands(block: Block) -> Iterator[Command]:
    """The commands in a block, ``uv run`` and set-ups left out.

    Raises:
        ValueError: A line is neither gradlab's, nor ``python FILE``, nor a set-up.
    """
    where = f"{block.page.relative_to(ROOT)}:{block.line}"
    for words in block.commands:
        own = words[2:] if words[:2] == ["uv", "run"] else words
        if "&&" in own:
            parts = " ".join(own).split(" && ")
            own = parts[-1].split()
            own = own[2:] if own[:2] == ["uv", "run"] else own
        if own[0].startswith("gradlab") or own[0] == "python":
            yield Command(where, own[0], tuple(own[1:]))
        elif not SETUP.match(" ".join(words) + " "):
            raise ValueError(f"{where}: {' '.join(words)} is neither a command of gradlab nor a known set-up")


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create(config_loader=make_loader())


def combinations(overrides: list[str]) -> list[list[str]]:
    """The overrides of every run of a sweep, Hydra's own keys and what needs a plugin left out."""
    choices = []
    for text in without_hydra(overrides):
        parsed = _parser().parse_override(text)
        if parsed.is_sweep_override():
            key = parsed.get_key_element()
            choices.append([f"{key}={value}" for value in parsed.sweep_string_iterator()])
        else:
            choices.append([text])
    return [list(choice) for choice in product(*choices)]


def without_hydra(overrides: list[str]) -> list[str]:
    return [text for text in overrides if not re.match(r"\+?hydra[./]", text)]


def needs_plugin(command: Command) -> bool:
    return any(text.startswith("hydra/") and text.endswith(PLUGINS) for text in command.overrides)


def quickened(command: Command) -> list[str]:
    """A command's words with few steps, where it trains and does not say for how long."""
    if not command.overrides and command.words:
        return list(command.words)  # --help and its like
    long = [word for word in command.words if re.match(r"(train|experiment)=|train\.(steps|resume|grow|freeze)=", word)]
    return [*command.words, "figures=false"] if long else [*command.words, "train=smoke", "figures=false"]
