"""Reader of the YAML files that Hydra leaves in a run's folder, which are data and may be damaged."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from gradlab.errors import one_line

_LONGEST = 200  # of a parser's message, which may quote the file


def load_saved(path: Path) -> Any:
    """Return a YAML file as OmegaConf's object.

    Raises:
        OSError: The file is missing or cannot be read.
        ValueError: The file is damaged.
    """
    try:
        return OmegaConf.load(path)
    except RecursionError as error:
        raise ValueError(f"{path.name} is broken: it is nested too deeply") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(f"{path.name} is broken: {one_line(error)[:_LONGEST]}") from error
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path.name} is broken: {one_line(error)[:_LONGEST]}") from error


def load_saved_config(path: Path) -> DictConfig:
    """Return a saved config.

    Raises:
        OSError: The file is missing or cannot be read.
        ValueError: The file is damaged, or is no mapping.
    """
    config = load_saved(path)
    if not isinstance(config, DictConfig):
        raise ValueError(f"{path.name} is broken: it is not a mapping")
    return config


def to_plain_config(config: DictConfig) -> dict[str, Any]:
    """Return a saved config as plain dictionaries, without the groups whose references cannot be resolved.

    A config that was refused may lack a value to which other keys refer.
    """
    plain: dict[str, Any] = {}
    for key in config:
        try:
            node = config[key]
            plain[str(key)] = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        except (OmegaConfBaseException, RecursionError):
            continue
    return plain
