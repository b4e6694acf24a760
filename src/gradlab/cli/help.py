"""The text of `gradlab --help` and `gradlab --options`."""

import shutil
import textwrap
from collections.abc import Iterable
from pathlib import Path

from gradlab.cli.parser import exit_codes
from gradlab.config.options import groups
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
  -h, --help                   show this text
  --version                    show the versions of gradlab, torch and hydra-core
  --json                       print one JSON object on stdout, also after an error; with --options and --version
  --options [GROUP]            list every option of every group (or of one), with its description
  --trust MODULE               with train.resume=FOLDER: the folder's config may name parts of this module of yours
  -m, --multirun               sweep over every combination of comma-separated values
  -c, --cfg job                print the composed config and stop; --resolve fills in its references,
                               --package KEY prints one node of it
  --info [TOPIC]               print how the config was composed (defaults, defaults-tree, config, plugins, searchpath)
  -cd, --config-dir DIR        add a folder of your own options, laid out like gradlab's: DIR/activation/swish.yaml
  -sc, --shell-completion      install tab completion; in bash: eval "$(gradlab -sc install=bash)"
  --hydra-help                 show the rest of Hydra's flags
"""


def overview(dirs: Iterable[Path]) -> str:
    """Return the help text: usage, groups with the names of their options, typed settings, and exit codes.

    Args:
        dirs: Folders of configs, the first before the others.
    """
    lines = [USAGE, "groups (GROUP=OPTION; gradlab --options describes each option):"]
    lines += [_entry(group, ", ".join(options)) for group, options in groups(dirs).items()]
    lines += ["", "settings (KEY=VALUE; a part's own keys are in gradlab --cfg job):"]
    lines += [
        _entry(key, f"{item.metadata['meaning']} ({allowed(item)}; default {default})")
        for (key, item), default in zip(settings(), defaults(), strict=True)
    ]
    lines += ["", exit_codes("a run is whole, but does not pass its gate")]
    return "\n".join(lines)


def options(dirs: Iterable[Path], *, group: str = "") -> str:
    """Return every option of every group, or of one, with its description.

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


def _entry(name: str, text: str) -> str:
    width = max(80, min(shutil.get_terminal_size().columns, 120))
    label = f"  {name:<20} "
    return (
        textwrap.fill(text, width, initial_indent=label, subsequent_indent=" " * len(label), break_long_words=False)
        or label.rstrip()
    )
