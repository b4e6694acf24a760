"""Layers that are frozen, and layers that are added, in runs and after a resume."""

import json
import shutil

import pytest
import torch
from tests.support.running import Run, compose_config

from gradlab.errors import GradlabError
from gradlab.optim.clipping import owner
from gradlab.probe.discovery import find_points, layer_names
from gradlab.run import checkpoint
from gradlab.run.assemble import assemble
from gradlab.run.execute import execute
from gradlab.train.freeze import read_freeze

SMALL = ("model.depth=4", "model.width=16", "train.steps=40", "train.eval_every=0")
GROW = (*SMALL, "train.grow={12: 8, 25: 16}")


def record(done):
    return json.loads((done.folder / "run.json").read_text())


def weights(done):
    return torch.load(done.folder / "checkpoint.pt", weights_only=True)["model"]


def same(one, other):
    return set(one) == set(other) and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


KINDS = [
    (),
    ("model=cnn",),
    ("residual=pre_activation", "activation=sigmoid", "model.block_depth=2"),
    ("residual=identity", "normalization=batch_norm"),
    ("residual=highway",),
    ("residual=rezero", "activation=tanh"),
    ("residual=fixup", "model.block_depth=2"),
    ("normalization=weight_norm",),
]


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
def test_growing_changes_no_loss(run, kind):
    done = run(*GROW, *kind, "model.depth=4", "model.width=8")
    events = record(done)["growth"]
    assert [(event["step"], event["depth_before"], event["depth"]) for event in events] == [(12, 4, 8), (25, 8, 16)]
    for event in events:
        assert event["eval_loss"] == pytest.approx(event["eval_loss_before"], rel=1e-6)
    main = done.gradients[done.gradients.role == "main"]
    assert main.groupby("step").depth_index.max().to_dict() == {0: 5, 10: 5, 12: 9, 20: 9, 25: 17, 30: 17, 39: 17}
    assert (main.groupby("step").depth_index.count() == main.groupby("step").depth_index.max()).all()
    assert main[main.step == 12].activation_slope_rms.notna().sum() >= 7  # in full from the first step on
    last = main[main.step == 39]
    assert last.layer.iloc[-1] == "head"
    assert last.layer.is_unique
    assert set(main[main.step == 0].layer) <= set(last.layer)
    assert done.gradients.weight_grad_norm.notna().all()


def test_the_training_loss_is_the_same_at_the_step_of_the_growth(run):
    """Up to there the runs are one; the batch of step 12 has the same loss in the net of 4 and in that of 8 layers."""
    plain, grown = (run(*config, "probe.every=1").metrics for config in (SMALL, GROW))
    assert plain.iloc[:12].equals(grown.iloc[:12])
    assert grown.train_loss[12] == pytest.approx(plain.train_loss[12], rel=1e-6)
    assert grown.train_loss[20] != plain.train_loss[20]


@pytest.mark.parametrize("optimizer", ["adam", "adagrad", "rprop", "muon", "momentum"])
def test_new_layers_learn_and_old_ones_keep_their_state(optimizer):
    cfg = compose_config(*GROW, f"optimizer={optimizer}", "train.decay_biases=false", "probe.every=1")
    loop = assemble(cfg)
    stream = loop.run()
    while loop.step < 12:
        next(stream)
    stem = loop.model.stem.affine.weight
    before = {name: torch.as_tensor(value).clone() for name, value in loop.optimizer.state[stem].items()}
    loop._grow(12)
    for name, value in before.items():
        assert torch.equal(torch.as_tensor(loop.optimizer.state[stem][name]), value)
    new = loop.model.blocks[-1][0].affine.weight
    assert torch.equal(new, torch.eye(16))
    held = [parameter for group in loop.optimizer.param_groups for parameter in group["params"]]
    assert len(held) == len({id(parameter) for parameter in held}) == len(list(loop.model.parameters()))
    for _ in stream:
        pass
    assert not torch.equal(new, torch.eye(16))
    assert owner(loop._parameters[-1][0]) == "head"  # which AGC leaves alone


def test_each_growth_draws_weights_of_its_own():
    """The first layer of a new residual branch is random: two growths with the same numbers would be copies."""
    cfg = compose_config(*GROW, "residual=pre_activation", "model.block_depth=2")
    loop = assemble(cfg)
    new = []
    for step in (12, 25):
        blocks = len(loop.model.blocks)
        loop.structure.grow(step)
        new.append(loop.model.blocks[blocks])
    one, other = ([p.detach() for p in block.parameters() if p.dim() > 1 and p.any()] for block in new)
    assert len(one) == len(other) > 0
    for left, right in zip(one, other, strict=True):
        correlation = torch.corrcoef(torch.stack([left.flatten(), right.flatten()]))[0, 1]
        assert abs(float(correlation)) < 5 / left.numel() ** 0.5


@pytest.mark.parametrize("probe", [("probe=full",), ("probe.every=7",)])
def test_the_probe_changes_nothing_about_a_net_that_grows(run, probe):
    assert same(weights(run(*GROW, "probe=off", "residual=stochastic_depth")),
                weights(run(*GROW, *probe, "residual=stochastic_depth")))  # fmt: skip


class KilledError(Exception):
    """In place of a SIGKILL."""


RESUMED = [("optimizer=muon", "lr_scheduler=cosine"),
           ("residual=stochastic_depth", "train.freeze=[{layers: stem, until: 22}]"),
           pytest.param(("optimizer=adam",), marks=pytest.mark.slow),
           pytest.param(("optimizer=adagrad", "clipping=adaptive"), marks=pytest.mark.slow)]  # fmt: skip


@pytest.mark.parametrize("kind", RESUMED, ids=" ".join)
def test_a_run_that_grows_can_be_resumed(run, tmp_path, monkeypatch, kind):
    config = (*GROW, *kind, "train.checkpoint_every=6", "logger=csv")
    whole = run(*config)
    for kept in (12, 30):  # just before the first growth, and after both
        folder = tmp_path / f"cut{kept}"
        folder.mkdir()
        written = checkpoint.save

        def save(path, loop, *, run, written=written, kept=kept):
            written(path, loop, run=run)
            if loop.step == kept:
                raise KilledError

        monkeypatch.setattr(checkpoint, "save", save)
        with pytest.raises(KilledError):
            execute(compose_config("figures=false", *config), folder, choices={})
        monkeypatch.setattr(checkpoint, "save", written)
        execute(compose_config("figures=false", *config), folder, choices={})
        done = Run(folder)
        assert same(weights(done), weights(whole))
        for name in ("gradients.csv", "metrics.csv"):
            assert (folder / name).read_bytes() == (whole.folder / name).read_bytes()
        assert record(done)["growth"] == record(whole)["growth"]
        shutil.rmtree(folder)


def test_figures_show_layers_from_their_first_step_on(run):
    done = run(*GROW, "figures=true")
    assert {path.stem for path in (done.folder / "figures").glob("*.png")} >= {"gradient_flow", "gradient_heatmap"}
    assert "last hidden layer&apos;s" in (done.folder / "figures/gradient_flow.svg").read_text().replace("'", "&apos;")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (("train.grow={12: 8}", "activation=sigmoid"), "train.grow: a new block would change the network's function"),
        (("train.grow={12: 8}", "normalization=batch_norm"), "use residual=pre_activation"),
        (("train.grow={12: 4}",), "train.grow: 4 layers at step 12 are no more than the 4 before"),
        (("train.grow={12: 8, 20: 6}",), "train.grow: 6 layers at step 20 are no more than the 8 before"),
        (("train.grow={40: 8}",), "train.grow: step 40 is not among the steps 1 to 39"),
        (("train.grow={a: 8}",), "train.grow: must be a depth for each step, such as {100: 8, 200: 16}; got {'a': 8}"),
        (("train.grow={12: 8}", "train.compile=true"), "train.grow: a compiled network cannot change"),
        (("train.freeze=[{layers: stm}]",), "train.freeze: ['stm'] matches no layer; there are stem.affine, blocks.0."),
        (("train.freeze=[{depth: [7, 9]}]",), "train.freeze: depth [7, 9] goes beyond the head, which is layer 5"),
        (("train.freeze=[{depth: [5, 2]}]",), "train.freeze: depth is [FIRST, LAST] with 1 <= FIRST <= LAST, got [5"),
        (("train.freeze=[{layer: stem}]",), "train.freeze: cannot read {'layer': 'stem'}; write {layers: PATTERN"),
        (("train.freeze=[{layers: stem, until: 0}]",), "train.freeze: {'layers': 'stem', 'until': 0} holds at no step"),
    ],
)
def test_what_cannot_be_is_refused_before_the_run(setting, message):
    with pytest.raises(GradlabError) as caught:
        assemble(compose_config(*SMALL, *setting))
    assert message in str(caught.value)


def test_only_networks_of_blocks_grow():
    with pytest.raises(GradlabError, match="a LinearModel cannot grow; mlp and cnn can"):
        assemble(compose_config("model=linear", "train.grow={12: 8}"))


def moved(done):
    """The layers that moved at each step."""
    rows = done.gradients[done.gradients.update_norm > 0]
    return {step: set(rows[rows.step == step].layer) for step in done.gradients.step.unique()}


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_frozen_layers_stay_and_are_still_measured(run, optimizer):
    rules = "[{layers: stem, until: 10}, {depth: [3, 4], from: 20, until: 30}, {layers: [head], from: 35}]"
    done = run(
        *SMALL, f"train.freeze={rules}", "probe.every=1", f"optimizer={optimizer}", "optimizer.weight_decay=0.01"
    )
    every = {"stem.affine", "blocks.0.0.affine", "blocks.1.0.affine", "blocks.2.0.affine", "head"}
    early, inner, late = {"stem.affine"}, {"blocks.1.0.affine", "blocks.2.0.affine"}, {"head"}
    frozen = {0: early, 9: early, 10: set(), 19: set(), 20: inner, 29: inner, 30: set(), 34: set(), 35: late, 39: late}
    found = moved(done)
    assert {step: every - found[step] for step in frozen} == frozen
    assert (done.gradients.weight_grad_norm > 0).all()  # what the layer would have learnt from is on record
    stem = done.gradients[(done.gradients.layer == "stem.affine") & (done.gradients.step < 10)]
    assert stem.weight_norm.nunique() == 1


def test_a_frozen_layer_does_not_count_in_the_norm_that_is_clipped(run):
    done = run(*SMALL, "train.freeze=[{layers: '*'}]", "clipping=norm")
    assert (done.metrics.grad_norm == 0).all()
    plain = run(*SMALL, "train.freeze=[]", "clipping=norm")
    assert (plain.metrics.grad_norm > 0).all()


def test_patterns_name_layers_modules_or_parameters():
    model = assemble(compose_config(*SMALL, "normalization=batch_norm")).model
    names = {id(parameter): name for name, parameter in model.named_parameters()}

    def chosen(rule):
        (freeze,) = read_freeze([rule])
        return {names[id(parameter)] for parameter in freeze.chosen(model)}

    layer = {f"stem.{part}.{kind}" for part in ("affine", "normalization") for kind in ("weight", "bias")}
    assert chosen({"layers": "stem"}) == chosen({"depth": [1, 1]}) == layer
    assert chosen({"layers": ["stem.affine"]}) == {"stem.affine.weight", "stem.affine.bias"}
    assert chosen({"layers": "*.bias"}) == {name for name in names.values() if name.endswith("bias")}
    assert chosen({"depth": [5, 5]}) == {"head.weight", "head.bias"}


RECURRENT = {
    "rnn": ("model=rnn", "model.depth=2"),
    "lstm": ("model=lstm", "model.depth=2", "residual=identity"),
    "gru": ("model=gru", "model.depth=2", "normalization=layer_norm"),
}


@pytest.mark.parametrize("kind", RECURRENT)
def test_the_layers_and_depths_of_gradients_csv_can_be_frozen_in_recurrent_nets_too(run, kind):
    """Their matrices are parameters of torch's module, not of the module by which they are recorded."""
    rules = "[{layers: stem.input, until: 2}, {layers: 'blocks.*.recurrent', until: 4}, {depth: [2, 3], from: 4}]"
    done = run(*RECURRENT[kind], "model.width=4", "data=adding", "data.length=5", "train.steps=6", "probe.every=1",
               "train.eval_every=0", f"train.freeze={rules}")  # fmt: skip
    every = set(done.gradients.layer)
    (second,) = (name for name in every if name.startswith("blocks") and name.endswith(".recurrent"))
    deep = {name for name, depth in zip(done.gradients.layer, done.gradients.depth_index, strict=True) if depth > 1}
    stay = {0: {"stem.input", second}, 1: {"stem.input", second}, 2: {second}, 3: {second}, 4: deep, 5: deep}
    assert {step: every - layers for step, layers in moved(done).items()} == stay


NAMED = [
    ("residual=highway", "model.auxiliary_every=1"),
    ("model=cnn", "residual=identity", "model.shortcut=projection"),
    ("normalization=weight_norm",),
    ("model=lstm", "data=adding"),
]


def test_every_layer_of_gradients_csv_can_be_frozen_by_its_name():
    """In foreign networks too, whose attention and recurrent layers have matrices without a module of their own."""
    networks = [assemble(compose_config("model.width=4", "model.depth=3", *kind)).model for kind in NAMED]
    networks += [torch.nn.LSTM(2, 3, num_layers=2, proj_size=1), torch.nn.MultiheadAttention(4, 2)]
    for model in networks:
        for name in layer_names(model, find_points(model)).values():
            (rule,) = read_freeze([{"layers": name}])
            assert rule.chosen(model), name
