"""The differences between the versions of Hydra and OmegaConf that gradlab supports.

Hydra 1.3 asks whose defaults to follow; 1.4 knows only its own, and builds from a config only what a whitelist names.
A gradlab config is the user's own program and may name the user's own functions, so the whitelist is off, as in 1.3.
"""

import inspect
import warnings
from typing import Any

import hydra
import hydra.utils
from omegaconf import OmegaConf

_HAS_WHITELIST = "execution_whitelist" in inspect.signature(hydra.main).parameters

INITIALIZE_OPTIONS: dict[str, Any] = {} if _HAS_WHITELIST else {"version_base": "1.3"}
MAIN_OPTIONS: dict[str, Any] = INITIALIZE_OPTIONS | (
    {"execution_whitelist": vars(hydra.utils)["UNSAFE_DISABLE_EXECUTION_CHECKS"]} if _HAS_WHITELIST else {}
)

# OmegaConf 2.4 gives the name `register_resolver`, which in 2.3 means an older, deprecated function, to this one.
_CURRENT = "replace" in inspect.signature(OmegaConf.register_resolver).parameters
register_resolver = OmegaConf.register_resolver if _CURRENT else OmegaConf.register_new_resolver

# configs/hydra/launcher/submitit_local.yaml goes before the plugin's own option of that name, whose fields still hold.
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")
