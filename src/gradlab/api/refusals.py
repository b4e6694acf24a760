"""Error messages of one line, with the correction, for command lines that Hydra refuses."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import OmegaConf

from gradlab.config.compose import compose
from gradlab.config.keys import closest_key, key_paths
from gradlab.config.options import groups
from gradlab.config.schema import allowed, settings
from gradlab.errors import GradlabError, closest, did_you_mean, install_hint, one_line

Groups = dict[str, dict[str, str]]


def explain(error: Exception, *, overrides: Sequence[str], dirs: Sequence[Path]) -> str:
    """Return in one line what is wrong with a command line.

    Args:
        error: The exception that Hydra raised.
        overrides: The overrides of the command line.
        dirs: Folders of configs, gradlab's own first.
    """
    if isinstance(error.__cause__, GradlabError):
        return str(error.__cause__)
    if isinstance(error, OverrideParseException):
        return _unreadable(error)
    if str(error).startswith("Ambiguous value"):
        swept = next((text for text in overrides if f"'{text}'" in str(error)), "a comma")
        return f"{swept} means a sweep: add -m, or write a list as KEY=[A,B]"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, _, option = error.missing_cfg_file.rpartition("/")
        hint = install_hint(f"hydra_{option}_{group.removeprefix('hydra/')}")
        if hint:
            return hint
        return unknown_option(group, option, error.options)
    if one_of_many := re.match(r"In '.*': Could not load '(.+)/(.+)'", str(error)):  # GROUP=[A,B]
        return unknown_option(one_of_many[1], one_of_many[2], groups(dirs).get(one_of_many[1], ()))
    if "appears more than once in the final defaults list" in str(error):
        return f"{brief(error)}; choose another option by GROUP=OPTION, without +"
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as unreadable:  # in a sweep Hydra wraps its own, or refuses another override first
        return _unreadable(unreadable)
    return _wrong_type(error, parsed) or unknown_key(parsed, dirs) or brief(error)


def unknown_option(group: str, option: Any, choices: Iterable[str]) -> str:
    """Return the message for an unknown option such as `activation=rleu`, with the choices."""
    names = list(choices)
    name = "null" if option is None else str(option)
    suggestion = did_you_mean(closest(name, names))
    return f"{group} has no option '{name}'{suggestion or ';'} choices: {', '.join(names) or 'there are none'}"


def unknown_key(overrides: Iterable[Override], dirs: Sequence[Path]) -> str | None:
    """Return the message for the first override with an unknown key, with the closest key.

    Returns:
        One line, or None if every key exists.
    """
    options = groups(dirs)
    items = list(overrides)
    config = composed([item for item in items if item.key_or_group in options], dirs)
    known = list(key_paths(config))
    return next((line for item in items if (line := _refuse(item, config, known, options))), None)


def composed(overrides: Iterable[Override], dirs: Sequence[Path]) -> dict[str, Any]:
    """Return the config of the chosen options, or the default config if they do not compose, or {} if neither does."""
    choices = [item.input_line for item in overrides if item.input_line and not item.is_sweep_override()]
    for attempt in (choices, []):
        with suppress(Exception):  # only the original error must be explained
            cfg = compose(attempt, dirs, with_hydra=True)
            return OmegaConf.to_container(cfg)  # pyright: ignore[reportReturnType]
    return {}


def brief(error: Exception) -> str:
    """Return Hydra's message in one line, without its advice to append a key, which gradlab refuses."""
    words = str(error).partition("Config search path:")[0]
    return one_line(" ".join(line for line in words.splitlines() if not line.strip().startswith("To append")))


def _unreadable(error: OverrideParseException) -> str:
    lines = str(error).splitlines()
    detail = next(
        (line for line in lines if not line.startswith(("Error parsing", "Error when parsing", "See https"))), lines[0]
    )
    if "LexerNoViableAlt" in detail:
        return (
            f"cannot read '{error.override}': no spaces around =, and quotes around anything unusual; write KEY=VALUE"
        )
    # The rest of Hydra's message lists internal names of tokens.
    return f"cannot read '{error.override}': {detail.partition(' expecting {')[0]}; write KEY=VALUE"


def _wrong_type(error: Exception, overrides: Iterable[Override]) -> str | None:
    key = getattr(error.__cause__, "full_key", None)
    texts = [item.input_line or "" for item in overrides if item.key_or_group == key]
    values = [text.partition("=")[2] for text in texts]  # as written: a sweep's values would be an object of Hydra's
    types = [allowed(item) for path, item in settings() if path == key]
    return f"{key} must be {types[0]}, got {values[-1]}" if values and types else None


def _refuse(override: Override, config: dict[str, Any], known: list[str], options: Groups) -> str | None:
    key = override.key_or_group
    if not key:
        return f"cannot read '{override.input_line}'; write KEY=VALUE"
    if (
        key in options
        and not override.is_delete()
        and not override.is_sweep_override()
        and not isinstance(override.value(), str | list)
    ):
        return unknown_option(key, override.value(), options[key])
    if key in known and override.is_add() and not override.is_force_add():
        return f"{key} exists already: write {(override.input_line or key).lstrip('+')}"
    if key in known or key in options or key.startswith("hydra/"):
        return None
    node, _, name = key.rpartition(".")
    if node in known and not OmegaConf.is_dict(OmegaConf.select(OmegaConf.create(config), node)):
        return f"unknown key {key}: {node} is a single value"
    target = OmegaConf.select(OmegaConf.create(config), f"{node}._target_") if node else None
    candidates = [path for path in known if path.startswith("hydra.") == key.startswith("hydra.")]
    candidates += [group.replace("/", ".") for group in options]
    siblings = [path.rpartition(".")[2] for path in known if node and path.rpartition(".")[0] == node]
    where = f": {node} ({target}) has no '{name}'" if target else ""
    tail = did_you_mean(closest_key(key.replace("/", "."), candidates))
    tail = tail or (f"; its keys: {', '.join(siblings)}" if siblings else "; gradlab --cfg job shows every key")
    return f"unknown key {key}{where}{tail}"
