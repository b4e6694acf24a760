"""The `_target_`s that saved configs may hold: each can still be imported and called, so old folders stay loadable."""

from importlib import import_module
from pathlib import Path

import pytest
import yaml

from gradlab.config.paths import CONFIGS

# Frozen: a line may be added, none may be changed or removed.
TARGETS = (Path(__file__).parent / "saved_targets.txt").read_text().split()


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_was_once_saved_can_be_called(target):
    module, _, name = target.rpartition(".")
    assert callable(getattr(import_module(module), name))


def test_every_target_of_the_configs_is_frozen():
    assert set(_targets()) - set(TARGETS) == set()


def _targets():
    for path in CONFIGS.rglob("*.yaml"):
        yield from _in_node(yaml.safe_load(path.read_text(encoding="utf-8")))


def _in_node(node):
    if isinstance(node, dict):
        target = node.get("_target_", "")
        if target.startswith(("gradlab.", "hydra_plugins.")):
            yield target
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _in_node(value)
