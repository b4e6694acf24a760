"""Reference pages of the config groups, from the YAML files and their targets' signatures."""

import inspect
import re
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml

from gradlab.config.options import groups
from gradlab.config.paths import CONFIGS
from gradlab.config.schema import allowed, defaults, settings
from gradlab_docs.files import documented
from gradlab_docs.markdown import code, fenced, page, table, toctree

GROUPS = {
    "model": "The network: layers, depth, width.",
    "activation": "The nonlinearity of each layer.",
    "initializer": "How weights are drawn before training.",
    "recurrent_initializer": "How the recurrent matrices of `rnn`, `lstm` and `gru` are drawn.",
    "normalization": "What normalizes the output of each layer's affine map.",
    "residual": "How a block's input is added to its output.",
    "clipping": "What is done to the gradients before the optimizer's step.",
    "optimizer": "The rule that turns gradients into updates.",
    "lr_scheduler": "How the learning rate changes from step to step.",
    "data": "What the network is trained and tested on.",
    "train": "How long and in what way the network is trained.",
    "probe": "What is recorded, and how often.",
    "diagnosis": "The limits of the rules behind the verdicts.",
    "gate": "When a run exits with code 3.",
    "logger": "Where metrics go beside the CSV files.",
    "hydra/launcher": "Where the runs of a sweep are executed.",
    "hydra/sweeper": "Which runs a sweep consists of.",
}
_TYPES: dict[Any, str] = {
    int: "an integer", float: "a number", bool: "true or false", str: "a word", Path: "a path", NoneType: "null",
}  # fmt: skip
_BOUNDS = {"gt": "above {}", "ge": "at least {}", "lt": "below {}", "le": "at most {}"}


def pages() -> dict[str, str]:
    """Return the reference pages of all groups, and `index.md`, by file name."""
    found = {name: options for name, options in groups([CONFIGS]).items() if name != "experiment"}
    if unknown := [name for name in found if name not in GROUPS]:
        raise ValueError(f"docs/_ext/gradlab_docs/options.py: say in GROUPS what the group {unknown[0]} is")
    made = {file_name(name): group_page(name, found[name]) for name in GROUPS}
    listed = table(
        ["group", "what it chooses", "options"],
        ([f"[{name}]({file_name(name)})", GROUPS[name], ", ".join(map(code, found[name]))] for name in GROUPS),
    )
    intro = (
        "`GROUP=OPTION` chooses an option, `GROUP.KEY=VALUE` sets one of its parameters. `gradlab --options` prints "
        "these lists. A misspelt name is refused before any training, with the closest match."
    )
    toc = toctree(file_name(name).removesuffix(".md") for name in GROUPS)
    return made | {"index.md": page("Options", intro, listed, toc)}


def settings_page() -> str:
    """Return the page of the typed settings."""
    rows = [
        [code(key), item.metadata["meaning"], allowed(item), code(default)]
        for (key, item), default in zip(settings(), defaults(), strict=True)
    ]
    intro = "What the runner itself owns. `KEY=VALUE` sets them; `gradlab --help` prints this list."
    return page("Settings", intro, table(["setting", "meaning", "allowed", "default"], rows))


def file_name(group: str) -> str:
    """Return the name of a group's page."""
    return f"{group.replace('/', '-')}.md"


def describe(hint: Any) -> str:
    """Return in words what an annotation allows: ``a number above 0``; "" where it allows anything."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _TYPES:
        return _TYPES[hint]
    if origin is Annotated:
        limits = " and ".join(_limits(arguments[1:]))
        return f"{describe(arguments[0])} {limits}".strip()
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin in (Union, UnionType):
        return " or ".join(filter(None, map(describe, arguments)))
    if isinstance(origin, type) and arguments and issubclass(origin, tuple):
        return f"{len(arguments)} values: {', '.join(map(describe, arguments))}" if ... not in arguments else "a list"
    return "a list" if isinstance(origin, type) and hasattr(origin, "__iter__") and origin is not type else ""


def _limits(metadata: tuple[Any, ...]) -> Iterator[str]:
    for item in metadata:
        bounds = {name: getattr(item, name, None) for name in _BOUNDS}
        yield from (_BOUNDS[name].format(f"{value:g}") for name, value in bounds.items() if value is not None)


def group_page(name: str, options: Mapping[str, str]) -> str:
    """Return the page of a group, from the descriptions of its options."""
    blocks = [GROUPS[name], f"Default: `{_defaults()[name]}`." if name in _defaults() else ""]
    for option, text in options.items():
        blocks += [f"## {option}", f"{text[:1].upper()}{text[1:]}." if text else ""]
        blocks += _option(CONFIGS / name / f"{option}.yaml", name)
    return page(name, *blocks)


def _option(path: Path, group: str) -> Iterator[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    content = yaml.safe_load("\n".join(lines)) or {}
    target = content.get("_target_", "")
    yield f"`{group}={path.stem}`" + (f" builds `{target}`." if target else "")
    keys = [key for key in content if not key.startswith("_") and key != "defaults"]
    if any(isinstance(content[key], dict) and content[key] for key in keys) or (keys and not target):
        yield fenced("\n".join(lines[1:]), "yaml")
    elif keys:
        notes, hints = described(target) | {key: note for key, note in _notes(lines) if note}, _hints(target)
        prefix = "" if group == "hydra" else f"{group.replace('/', '.')}."
        rows = [
            [
                code(f"{prefix}{key}"),
                code(_value(lines, key)),
                describe(hints.get(key, Any)),
                notes.get(key, "").replace("``", "`"),
            ]
            for key in keys
        ]
        yield table(["parameter", "default", "allowed", "meaning"], rows)
    if overrides := [_chosen(item) for item in content.get("defaults", []) if isinstance(item, dict)]:
        yield f"It also chooses {', '.join(filter(None, overrides))}, unless the command line says otherwise."


def _chosen(item: dict[str, Any]) -> str:
    ((key, value),) = item.items()
    group = re.sub(r"^override\s+/?|@.*$", "", key)
    return f"`{group}={value}`"


def _value(lines: list[str], key: str) -> str:
    line = next(line for line in lines if line.startswith(f"{key}:"))
    return re.sub(r"\s+#\s.*$", "", line).partition(":")[2].strip()


def _notes(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each key's comment: that of its own line, else those of the lines above it."""
    above: list[str] = []
    for line in lines[1:]:
        if line.startswith("#"):
            above.append(line.removeprefix("#").strip())
        elif found := re.match(r"(\w+):.*?(?:\s#\s(.*))?$", line):
            yield found[1], "; ".join(filter(None, [*above, found[2]]))
            above = []


@cache
def described(target: str) -> dict[str, str]:
    """Return what the docstring of one of gradlab's own targets says of its parameters."""
    if not target.startswith("gradlab."):
        return {}
    found = _located(target)
    return documented(found) | (documented(found.__init__) if inspect.isclass(found) else {})


def _located(target: str) -> Any:
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)


@cache
def _hints(target: str) -> dict[str, Any]:
    try:
        found = _located(target)
        return typing.get_type_hints(found.__init__ if inspect.isclass(found) else found, include_extras=True)
    except (ImportError, AttributeError, NameError, TypeError):  # an extra that is not installed, or a builtin
        return {}


@cache
def _defaults() -> dict[str, str]:
    listed = yaml.safe_load((CONFIGS / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    pairs = [item for entry in listed if isinstance(entry, dict) for item in entry.items()]
    return {re.sub(r"^override\s+", "", key): value for key, value in pairs if value is not None}
