"""The text of `gradlab --help` and `gradlab --options`."""

import shutil
import textwrap
from collections.abc import Iterable
from pathlib import Path

from gradlab.config.schema import allowed, defaults, settings
from gradlab.errors import GradlabError, closest, did_you_mean

USAGE = """\
usage: gradlab [FLAG ...] [GROUP=OPTION ...] [KEY=VALUE ...]

Train a network built from named parts and see, layer by layer, how its gradients vanish or explode.

examples:
  gradlab                                                 a sensible network on real data
  gradlab activation=sigmoid model.depth=50               see gradients vanish
  gradlab activation=sigmoid model.depth=50 train=init    the same before any training: one backward pass
  gradlab activation=sigmoid model.depth=50 residual=pre_activation    what a skip connection does
  gradlab optimizer=adam optimizer.lr=0.001 seed=1        another part, one of its numbers, another seed
  gradlab -m 'activation=glob(*)' seed=0,1,2 hydra/launcher=parallel    a sweep: every combination, on all cores

flags:
  -h, --help                   this text
  --options [GROUP]            every option of every group (or of one), with its description
  --version                    the versions of gradlab, torch and hydra-core
  -m, --multirun               sweep over every combination of comma-separated values
  -c, --cfg job                print the composed config and stop; --resolve fills in its references,
                               --package KEY prints one node of it
  --info [TOPIC]               how the config was composed (defaults, defaults-tree, config, plugins, searchpath)
  -cd, --config-dir DIR        a folder of your own options, laid out like gradlab's: DIR/activation/swish.yaml
  -sc, --shell-completion      tab completion; in bash: eval "$(gradlab -sc install=bash)"
  --hydra-help                 the rest of Hydra's flags
"""


def overview(dirs: Iterable[Path]) -> str:
    """The help text: usage, groups with the names of their options, and the typed settings.

    Args:
        dirs: Folders of configs, the first before the others.
    """
    lines = [USAGE, "groups (GROUP=OPTION; gradlab --options says what each option is):"]
    lines += [_entry(group, ", ".join(options)) for group, options in groups(dirs).items()]
    lines += ["", "settings (KEY=VALUE; a part's own keys are in gradlab --cfg job):"]
    lines += [
        _entry(key, f"{item.metadata['meaning']} ({allowed(item)}; default {default})")
        for (key, item), default in zip(settings(), defaults(), strict=True)
    ]
    return "\n".join(lines)


def options(dirs: Iterable[Path], *, group: str = "") -> str:
    """Every option of every group, or of one, with its description.

    Args:
        dirs: Folders of configs, the first before the others.
        group: The group's name; empty for all.

    Raises:
        GradlabError: There is no such group.
    """
    found = groups(dirs)
    if group and group not in found:
        raise GradlabError(
            f"unknown group {group}{did_you_mean(closest(group, found)) or ';'} groups: {', '.join(found)}"
        )
    chosen = [group] if group else list(found)
    blocks = [[name, *(f"  {option:<20} {text}".rstrip() for option, text in found[name].items())] for name in chosen]
    return "\n\n".join("\n".join(block) for block in blocks)


def groups(dirs: Iterable[Path]) -> dict[str, dict[str, str]]:
    """The description of every option, by group (`hydra/launcher` where nested) and option.

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
    """An option's description: the first comment of its file, a `# @package` line apart."""
    with path.open(encoding="utf-8") as file:
        first = next((line for line in file if not line.startswith("# @package")), "")
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def _entry(name: str, text: str) -> str:
    width = max(80, min(shutil.get_terminal_size().columns, 120))
    label = f"  {name:<20} "
    return (
        textwrap.fill(text, width, initial_indent=label, subsequent_indent=" " * len(label), break_long_words=False)
        or label.rstrip()
    )
