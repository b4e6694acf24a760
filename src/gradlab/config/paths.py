"""Where the configs are: beside the package in a wheel, at the top of the repository in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
CONFIGS = _PACKAGE / "configs" if (_PACKAGE / "configs").is_dir() else _PACKAGE.parents[1] / "configs"
