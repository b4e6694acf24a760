"""neighbours.csv against recomputed gradients; without the option no file and the same gradients.csv."""

import pandas as pd
import pytest
import torch
from tests.support.running import compose_config

from gradlab.config.build import check
from gradlab.errors import GradlabError
from gradlab.run.assemble import assemble

GRID = ("data=grid", "data.samples=32", "train.batch_size=32", "model.depth=3", "model.width=16", "train.steps=1")


@pytest.mark.parametrize(
    "parts", [(), ("normalization=batch_norm", "residual=pre_activation"), ("train.dtype=float64",)]
)
def test_cosines_equal_an_independent_recomputation(parts):
    config = compose_config(*GRID, *parts, "probe.neighbours=[1,5]")
    check(config)
    loop, same = assemble(config), assemble(config)
    list(loop.run())
    outputs = {}
    names = {module: name for name, module in same.model.named_modules()}
    for point in same.model.points():
        point.affine.register_forward_hook(lambda m, a, z: outputs.update({names[m]: z}))
    inputs, _ = next(same.batches)
    assert (inputs.diff(dim=0) > 0).all()
    values = same.model(inputs)
    grads = dict(zip(outputs, torch.autograd.grad(values.sum(), list(outputs.values())), strict=True))
    rows = loop.probe.take().neighbours
    assert [(row[2], row[3]) for row in rows] == [(name, lag) for name in outputs for lag in (1, 5)]
    for step, _, name, lag, cosine in rows:
        earlier, later = grads[name][:-lag].flatten(), grads[name][lag:].flatten()
        assert step == 0
        assert cosine == pytest.approx(float(torch.cosine_similarity(earlier, later, dim=0)), abs=1e-6)
    assert loop.probe.take().neighbours == []


def test_time_steps_of_a_recurrent_net_are_pooled_not_compared():
    """All samples of this batch are equal, so the cosine is 1, though dL/dz changes over time steps."""
    small = ("model=rnn", "data=adding", "data.length=6", "train.steps=1", "train.eval_every=0")
    loop = assemble(compose_config(*small, "probe.neighbours=[1]"))
    inputs, targets = next(loop.batches)
    loop.batches = Same((inputs[:1].expand(4, -1, -1), targets[:1].expand(4, -1)))
    list(loop.run())
    cosines = [row[-1] for row in loop.probe.take().neighbours]
    assert cosines == pytest.approx([1.0, 1.0], abs=1e-6)


class Same:
    """The same batch over and over."""

    epoch = 0.0

    def __init__(self, batch):
        self.batch = batch

    def __next__(self):
        return self.batch


def test_neighbours_are_compared_only_on_request(run):
    plain, compared = run(*GRID), run(*GRID, "probe.neighbours=[1]")
    assert not (plain.folder / "neighbours.csv").exists()
    assert (plain.folder / "gradients.csv").read_bytes() == (compared.folder / "gradients.csv").read_bytes()
    table = pd.read_csv(compared.folder / "neighbours.csv")
    assert list(table.columns) == ["step", "depth_index", "layer", "lag", "grad_cosine"]
    assert table.depth_index.tolist() == [1, 2, 3, 4]


def test_a_distance_of_the_batch_size_leaves_no_pairs_and_no_file(run):
    assert not (run(*GRID, "probe.neighbours=[32]").folder / "neighbours.csv").exists()


def test_a_distance_of_0_is_refused():
    with pytest.raises(GradlabError, match=r"probe.neighbours=\[0\]: a distance is at least 1"):
        assemble(compose_config(*GRID, "probe.neighbours=[0]"))
