"""`gradlab train.resume=FOLDER`: resume an interrupted run in its folder, under its own config.

Hydra's own command is not used: it would create an output folder, and overwrite the saved config.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.utils import setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from gradlab.artifacts.fingerprint import decisive_part, differences
from gradlab.config.compose import compose
from gradlab.config.hydra_compat import configure_log
from gradlab.config.saved import load_saved
from gradlab.config.trust import require_trusted
from gradlab.errors import GradlabError, one_line

KEY = "train.resume"


def asked(overrides: Sequence[str]) -> str | None:
    """Return the folder of the override `train.resume=FOLDER`; None if there is no such override.

    The text is not parsed by Hydra, which cannot read the folder name of a sweep's run with its commas and equal signs.
    """
    values = [text.partition("=")[2].strip("'\"") for text in overrides if text.partition("=")[0].lstrip("+") == KEY]
    return (values[-1] or None) if values else None


def resume(name: str, *, overrides: Sequence[str], dirs: Sequence[Path], trusted: Sequence[str] = ()) -> float | None:
    """Resume an interrupted run.

    Args:
        name: The run's folder.
        overrides: The overrides of the command line.
        dirs: Folders of configs, gradlab's first.
        trusted: Modules that the folder's config may name as targets, beside gradlab's, torch's, torchvision's and
            timm's.

    Returns:
        The run's objective, as in `gradlab.run.execute.run`.

    Raises:
        GradlabError: There is no run in the folder, an override changes its config, or its config names a target that
            is not trusted.
        HydraException: An override cannot be read.
        KeyboardInterrupt: The run was interrupted again; its files are complete up to that step.
    """
    folder = Path(name)
    cfg, hydra, words = (_read(folder / ".hydra" / f"{file}.yaml") for file in ("config", "hydra", "overrides"))
    words = [word for word in map(str, words) if not word.lstrip("+~").startswith("hydra")]  # no search path of its own
    others = [text for text in overrides if text.partition("=")[0].lstrip("+") != KEY]
    try:
        choices = dict(hydra.hydra.runtime.choices)
    except (AttributeError, TypeError, ValueError, OmegaConfBaseException) as error:
        raise GradlabError(f"{KEY}={name}: no run to resume: .hydra/hydra.yaml is broken") from error
    if not isinstance(cfg, DictConfig):
        raise GradlabError(f"{KEY}={name}: no run to resume: .hydra/config.yaml is broken")
    with open_dict(cfg):
        cfg.setdefault("overwrite", False)  # a key that earlier versions do not save
    if others:
        _adopt(cfg, words, others, dirs)
    _check_trust(cfg, [*trusted, *(text.partition("=")[2] for text in others)], folder, others)
    # The command's own logging: a logging configuration names functions, and the folder is data.
    configure_log(compose([], dirs, with_hydra=True).hydra.job_logging, False)
    from gradlab.run.execute import execute

    return execute(cfg, folder, overrides=words, choices=choices, resume=True)


def _read(path: Path) -> Any:
    setup_globals()  # registers Hydra's resolvers, which the files refer to
    try:
        return load_saved(path)
    except (OSError, ValueError) as error:
        reason = "cannot be read" if path.exists() else "is missing"
        raise GradlabError(f"{KEY}={path.parents[1]}: no run to resume: {path} {reason}") from error


def _check_trust(cfg: DictConfig, modules: Sequence[str], folder: Path, others: Sequence[str]) -> None:
    """Check what the folder's config names as targets, and where it would write.

    Raises:
        GradlabError: A target is not trusted, or the JUnit file lies outside of the working directory.
    """
    try:
        config = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    except OmegaConfBaseException as error:
        raise GradlabError(f"{KEY}={folder}: config.yaml is broken: {one_line(error)}") from error
    require_trusted(config, modules=[module for module in modules if module], folder=f"{KEY}={folder}")
    junit = str((config.get("gate") or {}).get("junit") or "")
    named = any(text.startswith("gate.junit=") for text in others)
    if junit and not named and not Path(junit).resolve().is_relative_to(Path.cwd().resolve()):
        raise GradlabError(f"{KEY}={folder}: its gate.junit={junit} is outside of this folder; add gate.junit=FILE")


def _adopt(cfg: DictConfig, words: Sequence[str], others: Sequence[str], dirs: Sequence[Path]) -> None:
    """Apply the other overrides of the command line to a run's config, in place.

    Raises:
        GradlabError: An override would change the run's numbers.
    """
    before, after = compose(words, dirs), compose([*words, *others], dirs)
    if lines := differences(_decisive(before), _decisive(after)):
        raise GradlabError(f"{KEY} resumes a run under its own config, which has {'; '.join(lines)}")
    for path in {*after, *(f"train.{key}" for key in after.train)} - {"train"}:
        if OmegaConf.select(before, path) != (value := OmegaConf.select(after, path)):
            OmegaConf.update(cfg, path, value, merge=False)


def _decisive(cfg: DictConfig) -> dict[str, Any]:
    return decisive_part(cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True)))
