"""Which functions and classes a config may name as a ``_target_``; docs/explanation/trust.md gives the reasons.

The command line is the user's own program and may name modules of the user's own. The folder of a run is data: what it
names must be a part of gradlab, torch, torchvision or timm, or lie in a module that the command names. What loads
objects from files or runs programs is refused in both.
"""

import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from gradlab.errors import GradlabError

# Where parts are. Whole packages would be too much: they hold functions that write files and start programs.
_ROOMS = (
    "gradlab.nn", "gradlab.optim", "gradlab.data", "gradlab.diagnosis", "gradlab.loggers", "gradlab.train",
    "torch.nn", "torch.optim", "torch.special", "torch._C", "torch._VF", "torch.functional", "torch._tensor",
    "torchvision.models", "torchvision.ops", "torchvision.transforms",
    "timm.layers", "timm.models", "timm.optim", "timm.scheduler",
)  # fmt: skip
_PLAIN = {"math", "cmath", "collections", "functools", "itertools", "fractions", "decimal", "numbers", "statistics"}
_REFUSED = (
    *(sorted(sys.stdlib_module_names - _PLAIN)),
    "cloudpickle", "dill", "joblib", "pip", "setuptools", "pkg_resources", "_distutils_hack", "hydra", "omegaconf",
    "submitit", "ray", "gradlab.api", "gradlab.artifacts", "gradlab.cli", "gradlab.launch", "gradlab.run",
    "gradlab.sweep", "gradlab.reproduce", "gradlab.config",
    "torch.classes", "torch.compiler", "torch.distributed", "torch.export", "torch.fx", "torch.hub", "torch.jit",
    "torch.multiprocessing", "torch.ops", "torch.package", "torch.serialization", "torch.testing", "torch.utils",
    "torch._dynamo", "torch._inductor", "torch._classes", "torch._ops", "torchvision.datasets.utils", "torchvision.io",
)  # fmt: skip
_VERBS = ("load", "read_pickle", "from_file", "fromfile", "memmap", "save", "exec", "eval", "compile", "download")
_GUARDED = {
    "gradlab",
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "timm",
    "torch",
    "torchvision",
}  # packages with such verbs


def targets(config: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the target of every node of a plain config that has a ``_target_``."""
    if isinstance(config, Mapping):
        if "_target_" in config:
            yield where, config["_target_"]
        for key, value in config.items():
            yield from targets(value, f"{where}.{key}".lstrip("."))
    elif isinstance(config, list | tuple):
        for index, value in enumerate(config):
            yield from targets(value, f"{where}.{index}")


def refuse_loader(target: str, where: str, *, written: str | None = None) -> None:
    """Refuse a target that loads objects from files, writes files or runs programs.

    Args:
        target: Dotted path, as the config has it or as the object found there is defined.
        where: Dotted key of its node.
        written: The path in the config, if ``target`` is another.

    Raises:
        GradlabError: It is such a target.
    """
    name = target.rpartition(".")[2]
    verb = target.partition(".")[0] in _GUARDED and any(part == name or name.startswith(f"{part}_") for part in _VERBS)
    if verb or any(_lies_in(target, module) for module in _REFUSED):
        path = target if written in (None, target) else f"{written}, which is {target},"
        raise GradlabError(f"{where}: {path} is refused as a _target_: it is no part of a network or of its training")


def refuse_loader_behind(value: Any, target: str, where: str) -> None:
    """Refuse an object that `refuse_loader` refuses under its own name, such as ``os.system`` as ``torch.os.system``.

    Raises:
        GradlabError: It is such an object.
    """
    if origin := _origin(value):
        refuse_loader(origin, where, written=target)


def require_trusted(config: Mapping[str, Any], *, modules: Collection[str], folder: str) -> None:
    """Check the targets in the config of a run's folder, before anything that they name is imported.

    Args:
        config: The resolved config as plain dictionaries.
        modules: Modules and targets that the command names.
        folder: The run's folder, for the message.

    Raises:
        GradlabError: A target lies elsewhere.
    """
    for where, target in targets(config):
        if not isinstance(target, str):
            raise GradlabError(f"{folder}: {where}._target_ must be a string")
        refuse_loader(target, f"{folder}: {where}")
        if any(_lies_in(target, module) for module in modules) or is_part(target):
            continue
        module = target.rpartition(".")[0] or target
        raise GradlabError(
            f"{folder}: {where} builds {target}, which is no part of gradlab, torch, torchvision or timm; "
            f"if the folder and the module are yours, add --trust {module}"
        )


def is_part(target: str) -> bool:
    """Return whether a target is where gradlab, torch, torchvision and timm have their parts."""
    if any(_lies_in(target, room) for room in _ROOMS):
        from gradlab.config.signatures import locate

        origin = _origin(locate(target, target))  # of a package that is installed, and named by the command
        return origin is None or any(_lies_in(origin, room) for room in (*_ROOMS, "torch"))
    return target.startswith("torch.") and target.count(".") == 1  # torch.tanh


def _lies_in(target: str, module: str) -> bool:
    return f"{target}.".startswith(f"{module}.")


def _origin(value: Any) -> str | None:
    """Return where a function or class is defined; None for a compiled function that does not say it."""
    described = value if hasattr(value, "__qualname__") else type(value)
    module = getattr(described, "__module__", None)
    return None if module is None else f"{module}.{described.__qualname__}"
