"""The options that the fused launcher trains alone are the ones that its documentation lists."""

import re
from pathlib import Path

import pytest
from tests.support.running import compose_config

from gradlab.config.signatures import locate
from gradlab.fused import clipping, optimizers
from gradlab.fused.network import UnfusableError, fuse
from gradlab.run.assemble import assemble

ROOT = Path(__file__).parents[2]
SMALL = ("model.depth=5", "model.width=16", "data=gaussian")
WITH_AN_EXTRA = {"optimizer": {"lion", "lars", "lamb"}}  # timm has no batched version


def listed(group):
    text = (ROOT / "docs/how-to/ray.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{group}` \| (.*) \|$", text, flags=re.MULTILINE)
    assert row, f"docs/how-to/ray.md has no row for {group}"
    return set(re.findall(r"`(\w+)`", row[1]))


def options(group):
    return sorted(path.stem for path in (ROOT / "configs" / group).glob("*.yaml"))


def alone(group, option):
    cfg = compose_config(
        *SMALL, f"{group}={option}", *(["residual.survival=0.5"] if option == "stochastic_depth" else [])
    )
    if group == "clipping":
        return locate(cfg.clipping["_target_"], "clipping") not in clipping.RULES
    loop = assemble(cfg)
    if group == "optimizer":
        return type(loop.optimizer) not in optimizers.RULES
    try:
        fuse([loop.model, assemble(cfg).model])
    except UnfusableError:
        return True
    return False


@pytest.mark.parametrize("group", ["optimizer", "clipping", "residual", "normalization", "activation"])
def test_the_documentation_lists_the_options_that_run_alone(group):
    with_an_extra = WITH_AN_EXTRA.get(group, set())
    found = {option for option in options(group) if option not in with_an_extra and alone(group, option)}
    assert found | with_an_extra == listed(group)
