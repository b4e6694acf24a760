"""The options of each group of configs, and their descriptions."""

from collections.abc import Iterable
from pathlib import Path


def groups(dirs: Iterable[Path]) -> dict[str, dict[str, str]]:
    """Return the description of every option, by group (`hydra/launcher` where nested) and option.

    Args:
        dirs: Folders of configs; an option of an earlier one hides its namesakes.
    """
    found: dict[str, dict[str, str]] = {}
    for folder in dirs:
        for path in sorted(folder.glob("*/**/*.yaml")):
            group = found.setdefault(path.parent.relative_to(folder).as_posix(), {})
            group.setdefault(path.stem, description(path))
    return dict(sorted(found.items()))


def description(path: Path) -> str:
    """Return an option's description: the first comment of its file, a `# @package` line apart."""
    with path.open(encoding="utf-8") as file:
        first = next((line for line in file if not line.startswith("# @package")), "")
    return first.removeprefix("#").strip() if first.startswith("#") else ""
