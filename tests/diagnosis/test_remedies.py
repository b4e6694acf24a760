"""Remedies: those offered for a config can be run on it, are not in it already, and have reasons in whole sentences."""

from functools import cache

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gradlab.config import build, schema
from gradlab.config.paths import CONFIGS
from gradlab.diagnosis.catalogue import CATALOGUE
from gradlab.diagnosis.config_facts import CRITICAL
from gradlab.diagnosis.overrides import combined, exclusive
from gradlab.diagnosis.recommendations import ANSWERS
from gradlab.diagnosis.remedies import applicable, read_facts, remedies_for
from gradlab.run.assemble import assemble

NETS = {
    "mlp": ("activation=sigmoid", "model.depth=8", "data.standardize=false"),
    "xavier relu": ("initializer=xavier_normal", "model.depth=8"),
    "cnn": ("model=cnn", "model.depth=6", "model.width=8", "activation=tanh"),
    "rnn": ("model=rnn", "model.depth=4", "recurrent_initializer=xavier_normal", "clipping=none"),
    "lstm": ("model=lstm", "optimizer.lr=0.01"),
    "linear": ("model=linear",),
}
SMALL = ("train.steps=1", "train.eval_every=0", "train.batch_size=8")


@cache
def composed(*overrides):
    schema.register()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=True)


@cache
def facts_of(*overrides):
    cfg = composed(*overrides)
    config = OmegaConf.to_container(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"]), resolve=True)
    return read_facts(config, cfg.hydra.runtime.choices)


def names(remedies):
    return [remedy.name for remedy in remedies]


def together(remedies):
    """Put remedies together as far as they do not exclude one another: composing each alone would take long."""
    while remedies:
        chosen = []
        for remedy in remedies:
            if not any(exclusive(remedy.overrides, other.overrides) for other in chosen):
                chosen.append(remedy)
        remedies = [remedy for remedy in remedies if remedy not in chosen]
        yield [text for remedy in chosen for text in remedy.overrides]


@pytest.mark.parametrize("net", NETS)
def test_every_remedy_can_be_run_and_is_on_then(net):
    net = NETS[net]
    facts = facts_of(*net)
    offered = {remedy.overrides: remedy for verdict in ANSWERS for remedy in remedies_for(verdict, facts)}
    offered |= {remedy.overrides: remedy for remedy in applicable(facts)}
    for overrides in together(list(offered.values())):
        cfg = composed(*combined([*net, *SMALL], overrides))
        cfg = OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])
        build.check(cfg)
        if "optimizer.lr=auto" in overrides:  # a run replaces it by what it finds
            cfg.optimizer.lr = 0.01
        assemble(cfg)
        changed = facts_of(*combined([*net, *SMALL], overrides))
        assert all(changed.on(text) for text in overrides)
        again = {text for remedy in applicable(changed) for text in remedy.overrides}
        lasting = [text for text in overrides if not text.startswith(("optimizer.lr=0", "model.depth"))]
        assert not again & set(lasting)


def test_every_strategy_of_the_sources_is_tried():
    tried = {remedy.strategy for net in NETS.values() for remedy in applicable(facts_of(*net))}
    assert tried == {
        "activation", "initialization", "normalization", "residual", "clipping", "gated cells", "optimizer", "schedule",
        "learning rate", "deep supervision", "less depth", "input standardisation",
    }  # fmt: skip
    wanted = "relu leaky_relu elu gelu selu xavier orthogonal critical batch_norm layer_norm identity pre_activation "
    wanted += "clip_norm clip_value adagrad rmsprop adam warmup decay restart range_test deep_supervision shallower"
    assert set(wanted.split()) <= set(names(applicable(facts_of(*NETS["mlp"]))))
    assert {"he", "standardize"} <= set(names(applicable(facts_of("initializer=uniform", "data.standardize=false"))))


def test_remedies_fit_the_kind_of_model():
    gated = {"lstm", "gru", "chrono"}
    for net in ("mlp", "cnn", "linear"):
        assert not gated & set(names(applicable(facts_of(*NETS[net]))))
    recurrent = set(names(applicable(facts_of(*NETS["rnn"]))))
    assert {"lstm", "gru", "layer_norm"} <= recurrent
    assert not {"batch_norm", "deep_supervision", "delta_orthogonal"} & recurrent
    assert names(applicable(facts_of(*NETS["lstm"])))[0] == "xavier" or "chrono" in names(
        applicable(facts_of(*NETS["lstm"]))
    )
    assert "deep_supervision" not in names(applicable(facts_of("model.depth=8", "train.accumulate=2")))


def test_the_order_is_the_configs_own():
    first = remedies_for("vanishing", facts_of("activation=sigmoid", "initializer=uniform"))[0]
    assert first.overrides == ("activation=relu", "initializer=kaiming_normal")
    assert first.reason.startswith(
        "sigmoid's slope is at most 1/4, so each layer passes at most a quarter of the gradient; "
    )
    assert first.source
    assert remedies_for("vanishing", facts_of("initializer=xavier_normal"))[0].overrides == (
        "initializer=kaiming_normal",
    )
    assert remedies_for("vanishing", facts_of("model=rnn"))[0].overrides == ("model=gru",)
    assert remedies_for("batch_norm_explosion", facts_of("normalization=batch_norm"))[0].name == "pre_activation"
    assert remedies_for("learning_rate_too_high", facts_of("optimizer.lr=0.5"))[1].overrides == ("optimizer.lr=0.05",)


def test_another_option_brings_its_own_keys():
    (orthogonal,) = [
        remedy for remedy in applicable(facts_of("initializer=xavier_normal", "initializer.gain=1.4142"))
        if remedy.name == "orthogonal"
    ]  # fmt: skip
    assert orthogonal.overrides == ("initializer=orthogonal", "initializer.gain=1.4142")
    (gain,) = [remedy for remedy in applicable(facts_of("initializer=orthogonal")) if remedy.name == "orthogonal"]
    assert gain.overrides == ("initializer.gain=1.4142",)


def test_nothing_is_known_and_nothing_is_advised():
    assert remedies_for("vanishing", read_facts({}, {})) == []
    assert applicable(read_facts({}, {})) == []
    assert remedies_for("healthy", facts_of()) == []


def test_every_answer_is_in_the_catalogue_and_every_remedy_answers_to_something():
    known = [entry.name for entry in CATALOGUE]
    assert len(set(known)) == len(known)
    answered = {name for answers in ANSWERS.values() for name in answers}
    assert answered <= set(known)
    assert all(len(set(answers)) == len(answers) for answers in ANSWERS.values())
    assert {"longer", "wider_clipping"} <= answered


@pytest.mark.parametrize("activation", CRITICAL)
def test_the_critical_variances_are_critical(activation):
    """Iterate the length map to its fixed point, and there compare the gradient's factor with 1."""
    weights, biases = CRITICAL[activation]
    module = build.build(composed(f"activation={activation}").activation, "activation")()
    nodes = torch.linspace(-9, 9, 2000, dtype=torch.float64)
    mass = torch.exp(-(nodes**2) / 2) * float(nodes[1] - nodes[0]) / (2 * torch.pi) ** 0.5
    q = 1.0
    with torch.no_grad():
        # Without a bias q stays where it is, but for sigmoid, whose outputs have a mean.
        for _ in range(2000 if biases or activation == "sigmoid" else 1):
            last, q = q, weights * float(mass @ module(q**0.5 * nodes) ** 2) + biases
            if abs(q - last) < 1e-10 * q:
                break
    z = (q**0.5 * nodes).requires_grad_()
    slopes = torch.autograd.grad(module(z).sum(), z)[0]
    assert weights * float(mass @ slopes**2) == pytest.approx(1, abs=5e-3)
