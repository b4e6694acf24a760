"""A wind tunnel for gradient flow: see where a deep network's gradients vanish or explode, and what helps.

    run(*overrides, to=…) -> Run        one run, as the command `gradlab` does it
    sweep(*overrides, to=…) -> Sweep    many runs, as `gradlab -m`
    load(folder) -> Run | Sweep         the run or sweep in a folder
    explain(run) -> Explanation         the fault, its cause and what may help, as `gradlab-explain`
    diff(one, other) -> Difference      how two runs or sweeps differ, as `gradlab-diff`
    watch(model, to=…) -> Watch         records a training loop of your own

Importing the package imports no torch, pandas or matplotlib: each name is imported on first use.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradlab.api.calls import load as load
    from gradlab.api.calls import run as run
    from gradlab.api.calls import sweep as sweep
    from gradlab.api.diff import Difference as Difference
    from gradlab.api.diff import diff as diff
    from gradlab.api.explain import Explanation as Explanation
    from gradlab.api.explain import explain as explain
    from gradlab.api.many_runs import Sweep as Sweep
    from gradlab.api.one_run import Run as Run
    from gradlab.errors import GateError as GateError
    from gradlab.errors import GradlabError as GradlabError
    from gradlab.interfaces import Point as Point
    from gradlab.watch import watch as watch

__version__ = "0.1.0"

_HOMES = {
    "Difference": "api.diff",
    "Explanation": "api.explain",
    "GateError": "errors",
    "GradlabError": "errors",
    "Point": "interfaces",
    "Run": "api.one_run",
    "Sweep": "api.many_runs",
    "diff": "api.diff",
    "explain": "api.explain",
    "load": "api.calls",
}
_CALLABLE = {"run": "api.calls", "sweep": "api.calls", "watch": "watch"}  # each is also the name of a module
__all__ = [
    "Difference", "Explanation", "GateError", "GradlabError", "Point", "Run", "Sweep", "__version__",
    "diff", "explain", "load", "run", "sweep", "watch",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _CALLABLE:
        return import_module(f"gradlab.{name}")  # the import sets the attribute
    if name not in _HOMES:
        raise AttributeError(f"module 'gradlab' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"gradlab.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return __all__


class CallableModule(ModuleType):
    """A module that is called like the public function of its name.

    Importing the module ``gradlab.run`` sets the attribute ``run`` of the package to it, in place of a function. Saved
    configs and pickles hold names below ``gradlab.run``, ``gradlab.sweep`` and ``gradlab.watch``, so these modules
    cannot be renamed. The last line of each makes it callable: ``sys.modules[__name__].__class__ = CallableModule``.
    `inspect.signature` and `help` show the function, which is imported only when needed.
    """

    @property
    def __wrapped__(self) -> Any:
        name = self.__name__.rpartition(".")[2]
        return vars(import_module(f"gradlab.{_CALLABLE[name]}"))[name]

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.__wrapped__(*args, **options)

    def __reduce__(self) -> Any:
        return import_module, (self.__name__,)  # pickled by name, since modules have no pickle support


# A property, so that help(gradlab.run) describes the function.
CallableModule.__doc__ = property(lambda module: module.__wrapped__.__doc__)  # pyright: ignore[reportAttributeAccessIssue]
