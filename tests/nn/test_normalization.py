"""Normalizations of single numbers, which give 0 whatever the input, are refused; the others train at any size."""

from math import isfinite

import pytest
from tests.support.running import compose_config

from gradlab.errors import GradlabError
from gradlab.run.assemble import assemble

CNN = ("model=cnn", "data=fake_images", "data.samples=8", "model.depth=3")
SINGLE = {
    "group": (("normalization=group_norm",), "model.normalization.groups=8 of 8 features hold one number each"),
    "layer": (("normalization=layer_norm", "model.width=1"), "layer_norm needs a width of at least 2"),
    "cell": (("model=rnn", "data=adding", "normalization=layer_norm", "model.width=1"), "a width of at least 2"),
    "pixel": ((*CNN, "data.size=1", "model.stages=1", "normalization=group_norm"), "8 groups of 8 channels"),
}


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("case", SINGLE)
def test_a_normalization_of_single_numbers_is_refused(batch, case):
    overrides, message = SINGLE[case]
    with pytest.raises(GradlabError, match=message):
        assemble(compose_config("model.width=8", f"train.batch_size={batch}", *overrides))


@pytest.mark.parametrize(
    "normalization",
    [("group_norm", "normalization.groups=4"), ("group_norm", "normalization.groups=1"), ("layer_norm",),
     ("rms_norm",), ("weight_norm",), ("none",)],
    ids="-".join,
)  # fmt: skip
@pytest.mark.parametrize("model", [("model.depth=3",), (*CNN, "data.size=2")], ids=["mlp", "cnn"])
def test_the_others_train_on_single_samples(model, normalization):
    chosen, *groups = normalization
    loop = assemble(compose_config("model.width=8", "train.batch_size=1", "train.steps=2", "optimizer.lr=1e-4",
                                   "train.eval_every=0", *model, f"normalization={chosen}", *groups))  # fmt: skip
    assert all(isfinite(metrics["grad_norm"]) and metrics["grad_norm"] > 0 for metrics in loop.run())
