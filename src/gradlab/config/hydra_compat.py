"""The differences between the versions of Hydra and OmegaConf that gradlab supports.

Hydra 1.3 asks which version's defaults to use. Hydra 1.4 does not, and builds from a config only what a whitelist
names. A gradlab config is the user's own program and may name the user's own functions, so the whitelist is off.
"""

import inspect
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import hydra
import hydra.core.utils
import hydra.utils
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

_HAS_WHITELIST = "execution_whitelist" in inspect.signature(hydra.main).parameters
_UNCHECKED = "UNSAFE_DISABLE_EXECUTION_CHECKS"  # without it Hydra itself refuses what it does not trust, and says so
_WHITELIST: dict[str, Any] = (
    {"execution_whitelist": vars(hydra.utils)[_UNCHECKED]}
    if _HAS_WHITELIST and hasattr(hydra.utils, _UNCHECKED)
    else {}
)

INITIALIZE_OPTIONS: dict[str, Any] = {} if _HAS_WHITELIST else {"version_base": "1.3"}
MAIN_OPTIONS: dict[str, Any] = INITIALIZE_OPTIONS | _WHITELIST

# OmegaConf 2.4 gives the name `register_resolver`, which in 2.3 means an older, deprecated function, to this one.
_CURRENT = "replace" in inspect.signature(OmegaConf.register_resolver).parameters
register_resolver = OmegaConf.register_resolver if _CURRENT else OmegaConf.register_new_resolver

# configs/hydra/launcher/submitit_local.yaml goes before the plugin's own option of that name, whose fields still hold.
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")


def configure_log(config: DictConfig, verbose: Any) -> None:
    """Set up Python's logging as a config's hydra node describes it, with the user's own handlers."""
    hydra.core.utils.configure_log(config, verbose, **_WHITELIST)


def building_allowed(context: HydraContext) -> AbstractContextManager[Any]:
    """Return a context in which a config's targets can be built: in another process than Hydra's own, 1.4 asks for it.

    Args:
        context: Hydra's, which holds its whitelist.
    """
    whitelist = getattr(hydra.utils, "execution_whitelist", None)
    return nullcontext() if whitelist is None else whitelist(vars(context)["execution_whitelist"], reset=True)
