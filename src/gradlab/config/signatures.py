"""Check of config nodes against the signature and annotations of their `_target_`, which serve as the schema."""

import inspect
import json
import pkgutil
import re
import typing
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter, ValidationError

from gradlab.config.keys import closest_key
from gradlab.config.trust import refuse_loader, refuse_loader_behind
from gradlab.errors import GradlabError, closest, did_you_mean, install_hint, one_line


def check_node(node: Any, where: str, *, known: Iterable[str]) -> None:
    """Check a config node and every node inside it against their targets.

    Args:
        node: A node as plain dictionaries and lists, without interpolations.
        where: Dotted key of the node.
        known: All dotted keys of the config, to suggest the right place of a misplaced key.

    Raises:
        GradlabError: A target cannot be imported, does not take a key, or a value does not match its annotation.
    """
    if isinstance(node, list):
        for index, item in enumerate(node):
            check_node(item, f"{where}.{index}", known=known)
    elif isinstance(node, dict):
        values = {key: value for key, value in node.items() if not re.fullmatch(r"_\w+_", str(key))}
        if "_target_" in node:
            _check_call(node["_target_"], values, where, known=known)
        for key, value in node.items():  # positional arguments are under _args_
            check_node(value, f"{where}.{key}", known=known)


def locate(target: str, where: str) -> Callable[..., Any]:
    """Import the function or class that a `_target_` names.

    Args:
        target: Dotted path.
        where: Dotted key of its node, for the message of an error.

    Raises:
        GradlabError: The name does not exist, its library is not installed, its module fails to import, it is not
            callable, or it loads objects or runs programs.
    """
    if isinstance(target, str):
        refuse_loader(target, where)
    try:
        imported = _import(target)
    except Exception as error:  # a user's module may raise anything
        missing = error.name if isinstance(error, ModuleNotFoundError) and error.name else ""
        if hint := install_hint(missing):
            message = f"{where}: {hint}"
        elif missing and f"{target}.".startswith(f"{missing}."):
            message = f"{where}: there is no {target}{did_you_mean(_closest_target(target))}"
        else:
            message = f"{where}: cannot import {target}: {type(error).__name__}: {one_line(error)}"
        raise GradlabError(message) from error
    if not callable(imported):
        raise GradlabError(f"{where}: {target} is a {type(imported).__name__}, which cannot be called")
    refuse_loader_behind(imported, target, where)
    return imported


def check_value(value: Any, hint: Any, where: str) -> None:
    """Check a plain value against a parameter's annotation; one that pydantic cannot check accepts every value.

    Raises:
        GradlabError: The value does not match.
    """
    text = json.dumps(value, default=str)
    try:
        # Strict validation of JSON accepts lists as tuples and ints as floats, but no bools as ints.
        _adapter(hint).validate_json(text, strict=True)
    except (PydanticUserError, PydanticUndefinedAnnotation):
        return
    except ValidationError as error:
        raise GradlabError(f"{where} must be {_requirement(error, hint)}, got {text}") from error


def _adapter(hint: Any) -> TypeAdapter[Any]:
    try:
        return _known_adapter(hint)
    except TypeError:  # an annotation that contains a list is not hashable
        return _known_adapter.__wrapped__(hint)


@cache
def _known_adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False))


def _check_call(target: str, values: dict[str, Any], where: str, *, known: Iterable[str]) -> None:
    function = locate(target, where)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some builtins have no signature
        return
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    names = [item.name for item in parameters if item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)]
    hints = _hints(function)
    for key, value in values.items():
        path = f"{where}.{key}"
        if key not in names and not open_ended:
            others = [*(other for other in known if other != path), *(f"{where}.{name}" for name in names)]
            tail = did_you_mean(closest_key(path, others)) or f"; it takes {', '.join(names)}"
            raise GradlabError(f"unknown key {path}: {target} takes no '{key}'{tail}")
        if key in hints and not _holds_target(value):
            check_value(value, hints[key], path)


def _requirement(error: ValidationError, hint: Any) -> str:
    """Return what the value must be: pydantic's messages if all are of the form "should be", else the annotation."""
    problems = [problem for problem in error.errors() if problem["type"] != "needs_python_object"]
    words = dict.fromkeys(re.sub(r"^Input should (be )?", "", problem["msg"]) for problem in problems)
    plain = problems and all(problem["msg"].startswith("Input should") for problem in problems)
    return " or ".join(words) if plain else inspect.formatannotation(hint)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    annotated = function.__init__ if isinstance(function, type) else function
    try:
        return typing.get_type_hints(annotated, include_extras=True)
    except (NameError, TypeError, AttributeError):  # names imported under TYPE_CHECKING only
        return {}


def _holds_target(value: Any) -> bool:
    if isinstance(value, dict):
        return "_target_" in value or any(map(_holds_target, value.values()))
    return isinstance(value, list) and any(map(_holds_target, value))


def _import(target: str) -> Any:
    parts = target.split(".")
    value: Any = import_module(parts[0])
    for length, name in enumerate(parts[1:], start=2):
        if not hasattr(value, name):
            import_module(".".join(parts[:length]))
        value = getattr(value, name)
    return value


def _closest_target(target: str) -> str | None:
    """Return the target with its first wrong name corrected; None if no existing name is close to it."""
    parts = target.split(".")
    for index, name in enumerate(parts):
        prefix = parts[:index]
        try:
            _import(".".join(parts[: index + 1]))
        except ImportError:
            parent = _import(".".join(prefix)) if prefix else None
            folders = getattr(parent, "__path__", []) if prefix else [str(Path.cwd())]
            modules = [module.name for module in pkgutil.iter_modules(folders)]
            guess = closest(name, [*modules, *(dir(parent) if prefix else ("torch", "gradlab"))])
            return ".".join([*prefix, guess, *parts[index + 1 :]]) if guess else None
    return None
