import pytest
import torch
from tests.support.running import compose_config

from gradlab.errors import GradlabError
from gradlab.interfaces import Supervised
from gradlab.run.assemble import assemble


def assembled(*overrides):
    loop = assemble(compose_config("model.depth=10", "model.width=8", *overrides))
    return loop, loop.model


@pytest.mark.parametrize(("overrides", "heads"), [
    (("model.auxiliary_every=0",), []),
    (("model.auxiliary_every=3",), ["3", "6", "9"]),
    (("model.auxiliary_every=5",), ["5"]),  # at depth 10 the head itself stands
    (("model.auxiliary_every=1",), [str(depth) for depth in range(1, 10)]),
    (("model.auxiliary_every=3", "model.block_depth=2"), ["3", "7", "9"]),  # at the end of the block
    (("model.auxiliary_every=20",), []),
])  # fmt: skip
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_heads_stand_behind_every_nth_layer(model, overrides, heads):
    loop, net = assembled(f"model={model}", *overrides)
    assert list(net.auxiliary) == heads
    inputs, _ = next(loop.batches)
    found = net.train()(inputs)
    if heads:
        assert isinstance(found, Supervised)
        assert list(found.auxiliary) == heads
        assert {outputs.shape for outputs in found.auxiliary.values()} == {(64, 10)}
        assert [(p.depth_index, p.role) for p in net.points()][11:] == [(int(name), "auxiliary") for name in heads]
        found = found.outputs
    assert torch.equal(net.eval()(inputs), found)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_the_other_weights_are_those_of_the_net_without_heads(model):
    _, with_heads = assembled(f"model={model}", "model.auxiliary_every=2")
    _, without = assembled(f"model={model}")
    state = with_heads.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in without.state_dict().items())


@pytest.mark.parametrize(("override", "message"), [
    ("model.auxiliary_every=-1", "model.auxiliary_every must be at least 0, got -1"),
    ("model.auxiliary_weight=0", "model.auxiliary_weight must be positive, got 0"),
])  # fmt: skip
def test_impossible_settings_are_refused(override, message):
    with pytest.raises(GradlabError, match=message):
        assembled(override)
