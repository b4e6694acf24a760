"""Config nodes to objects, and the check that every key of a config fits what it configures."""

import functools
import inspect
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from gradlab.artifacts.moved import MOVED, with_current_names
from gradlab.config.factories import make_factory
from gradlab.config.keys import key_paths
from gradlab.config.schema import check_settings
from gradlab.config.signatures import check_node, locate
from gradlab.errors import GradlabError, one_line
from gradlab.probe.columns import FIGURES

PART_GROUPS = ("activation", "initializer", "recurrent_initializer", "normalization", "residual")
LARGEST = 3.4028234663852886e38  # of float32
AUTO = "auto"  # the optimizer.lr that a range test finds


def update_targets(cfg: DictConfig) -> None:
    """Replace, in place, each `_target_` that has moved by its current path; before a config is checked or built."""
    if MOVED:
        with open_dict(cfg), read_write(cfg):
            cfg.merge_with(with_current_names(OmegaConf.to_container(cfg)))


def check(cfg: DictConfig) -> None:
    """Check a whole config before anything is built.

    Every setting is within its limits, every `_target_` can be imported, and every key beside it is a parameter of
    the target and has a value that fits the parameter's annotation.

    Raises:
        GradlabError: The first thing that does not fit, and what would.
    """
    config = _resolved(cfg)
    check_settings(config)
    _check_learning_rate(config["optimizer"])
    if unknown := [name for name in config["follow"]["columns"] if name not in FIGURES]:
        raise GradlabError(f"follow.columns: gradients.csv has no column {unknown[0]}; it has {', '.join(FIGURES)}")
    if config["optimizer"].get("lr") == AUTO:
        config["optimizer"]["lr"] = config["lr_range"]["lowest"]  # a placeholder: the range test finds the rate
    # The model's node repeats its parts by interpolation; suggestions name the part's own key.
    repeated = tuple(f"model.{group}." for group in PART_GROUPS)
    known = [path for path in key_paths(config) if not path.startswith(repeated)]
    for group, node in config.items():
        check_node(node, group, known=known)


def build(node: DictConfig, where: str, **arguments: Any) -> Any:
    """Build the object that a config node describes.

    Args:
        node: A node with a `_target_`, whose nested nodes are built first.
        where: The node's dotted key, for messages.
        **arguments: Further arguments of the target, passed on unchanged.

    Returns:
        What the target returns, or a partial of the target where the node says `_partial_: true`.

    Raises:
        GradlabError: The node has no target, or the target refuses a value (its error is kept as `__cause__`).
    """
    if "_target_" not in node:
        raise GradlabError(f"{where} has no _target_, so nothing can be built from it")
    with blame(where, keys=[str(key) for key in node]):
        factory = make_factory(node)
        return functools.partial(factory, **arguments) if node.get("_partial_") else factory(**arguments)


def takes(node: DictConfig, name: str) -> bool:
    """Return whether the target of a config node has a parameter of this name."""
    return name in inspect.signature(locate(node._target_, name)).parameters


@contextmanager
def blame(where: str, *, keys: Iterable[str] = ()) -> Iterator[None]:
    """Raise the error of a part that refuses a value as a GradlabError that names its config node.

    Args:
        where: The dotted key of the part's node.
        keys: The node's keys; one that the part's message mentions is named.
    """
    try:
        yield
    except InstantiationException as error:
        # Hydra wraps the error of a nested target, and names the nested node in the last line.
        nested = re.search(r"full_key: (\S+)", str(error))
        cause = error.__cause__ or error
        raise GradlabError(_blamed(cause, nested[1] if nested else where, keys)) from cause
    except (ValueError, TypeError, ImportError, ArithmeticError, AssertionError, RuntimeError) as error:
        raise GradlabError(_blamed(error, where, keys)) from error


def uses(cfg: DictConfig, group: str) -> bool:
    """Return whether the model is built with a group of parts; other groups always count as used."""
    return group not in PART_GROUPS or bool(
        re.search(rf"\$\{{{group}[.}}]", json.dumps(OmegaConf.to_container(cfg.model)))
    )


def unused_groups(cfg: DictConfig, overridden: Iterable[str]) -> list[str]:
    """Return a warning for each override of a part group that the model does not use.

    Args:
        cfg: The whole config.
        overridden: The overrides of the command line, such as `activation=relu`.

    Returns:
        One line for each such override.
    """
    overrides = list(overridden)
    model = next((text for text in overrides if text.startswith("model=")), f"the model {cfg.model._target_}")
    return [
        f"{text} has no effect: {model} does not use it"
        for text in overrides
        if not uses(cfg, re.split(r"[.=]", text.lstrip("+~"))[0])
    ]


def _resolved(cfg: DictConfig) -> dict[str, Any]:
    try:
        return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True))
    except MissingMandatoryValue as error:
        key = error.full_key
        hint = f"write {key}=VALUE" if "." in str(key) else f"gradlab --options {key} lists the choices"
        raise GradlabError(f"{key} is missing; {hint}") from error
    except OmegaConfBaseException as error:
        raise GradlabError(f"{error.full_key or 'config'}: {str(error).splitlines()[0]}") from error


def _check_learning_rate(optimizer: Mapping[str, Any]) -> None:
    lr = optimizer.get("lr", 1.0)
    if lr != AUTO and (isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr < math.inf):
        raise GradlabError(f"optimizer.lr must be a positive finite number or auto, got {lr}")
    for key, value in optimizer.items():  # torch multiplies float32 tensors by them
        if isinstance(value, int | float) and math.isfinite(value) and abs(value) > LARGEST:
            raise GradlabError(f"optimizer.{key} must be at most {LARGEST:.3g}, float32's largest number, got {value}")


def _blamed(error: BaseException, where: str, keys: Iterable[str]) -> str:
    message = one_line(error)
    words = re.findall(r"\w+", message)
    named = [key for key in keys if key in words and not key.startswith("_")]
    if words[:1] == named[:1] and named:
        return f"{where}.{message}"
    return f"{where}.{named[0]}: {message}" if len(named) == 1 else f"{where}: {message}"
