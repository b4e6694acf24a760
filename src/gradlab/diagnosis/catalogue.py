"""The remedies as data: what each one overrides, why it helps, and who published it.

A new remedy needs an entry in `CATALOGUE` and its name in `recommendations.ANSWERS`. Overrides and reasons are
templates, filled in from `Facts.words`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gradlab.diagnosis.config_facts import CRITICAL, LAYERED, RECURRENT, Facts

RECTIFIERS = ("relu", "leaky_relu", "prelu", "elu", "gelu", "silu", "mish", "celu")
SQUASHING = ("sigmoid", "tanh", "erf", "softsign", "hardtanh", "softplus")
_EVERY = LAYERED | RECURRENT | {"other"}


def always(facts: Facts) -> bool:
    """Return true for every config."""
    return True


def activation_in(*names: str) -> Callable[[Facts], bool]:
    """Return a condition: the config's activation is one of ``names``."""
    return lambda facts: facts.activation in names


def deeper_than(depth: int) -> Callable[[Facts], bool]:
    """Return a condition: the config has more than ``depth`` hidden layers."""
    return lambda facts: facts.depth > depth


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One remedy of the catalogue.

    Attributes:
        name: Name in tables.
        strategy: Kind of remedy.
        overrides: Overrides that apply it.
        reason: Why it helps, in a sentence.
        source: Who published it.
        models: Kinds of models it works with.
        fits: Whether it can be applied to a config of such a model.
        advised: Whether it is worth advising; the remedies sweep tries it in any case.
        swept: Whether the remedies sweep tries it. Not if it changes the number of steps or what is measured.
    """

    name: str
    strategy: str
    overrides: tuple[str, ...]
    reason: str
    source: str
    models: frozenset[str] = LAYERED
    fits: Callable[[Facts], bool] = always
    advised: Callable[[Facts], bool] = always
    swept: bool = True


CATALOGUE = (
    Entry(
        name="relu", strategy="activation", overrides=("activation=relu", "initializer=kaiming_normal"),
        reason="{slope}; relu's is 1 for positive inputs, and He's weights compensate for the half it sets to 0",
        source="Nair & Hinton 2010; He et al. 2015", fits=lambda facts: facts.activation != "relu",
        advised=activation_in(*SQUASHING, "identity"),
    ),
    Entry(
        name="leaky_relu", strategy="activation", overrides=("activation=leaky_relu", "initializer=kaiming_normal"),
        reason="{slope}; leaky relu's is nowhere 0, so no unit can die", source="Maas et al. 2013",
        fits=lambda facts: facts.activation != "leaky_relu",
    ),
    Entry(
        name="elu", strategy="activation", overrides=("activation=elu", "initializer=kaiming_normal"),
        reason="{slope}; elu also passes gradients for negative inputs, and its outputs have a mean nearer 0",
        source="Clevert et al. 2016", fits=lambda facts: facts.activation != "elu",
    ),
    Entry(
        name="gelu", strategy="activation", overrides=("activation=gelu", "initializer=kaiming_normal"),
        reason="{slope}; gelu's slope is near 1 for positive inputs, and smooth", source="Hendrycks & Gimpel 2016",
        fits=lambda facts: facts.activation != "gelu",
    ),
    Entry(
        name="selu", strategy="activation", overrides=("activation=selu", "initializer=lecun_normal"),
        reason="{slope}; selu with LeCun's weights drives every layer's outputs towards mean 0 and variance 1",
        source="Klambauer et al. 2017", fits=lambda facts: facts.activation != "selu",
    ),
    Entry(
        name="tanh", strategy="activation", overrides=("activation=tanh", "initializer=xavier_normal"),
        reason="{slope}; tanh's slope at 0 is 1, and its outputs have mean 0", source="LeCun et al. 1998",
        fits=activation_in("sigmoid", "softplus"),
    ),
    Entry(
        name="xavier", strategy="initialization", overrides=("initializer=xavier_normal",),
        reason="Var[w] = 2 / (fan_in + fan_out) keeps the size of signal and gradient where the slope is near 1",
        source="Glorot & Bengio 2010", models=LAYERED | RECURRENT, advised=activation_in(*SQUASHING, "identity"),
    ),
    Entry(
        name="he", strategy="initialization", overrides=("initializer=kaiming_normal",),
        reason="Var[w] = gain^2 / fan_in compensates for {activation}'s effect on the signal's size",
        source="He et al. 2015", advised=activation_in(*RECTIFIERS),
    ),
    Entry(
        name="orthogonal", strategy="initialization", overrides=("initializer=orthogonal", "initializer.gain={gain}"),
        reason="orthogonal weights stretch or shrink no direction, and neither does a product of {depth} of them",
        source="Saxe et al. 2014", models=frozenset({"mlp"}), fits=activation_in(*CRITICAL),
    ),
    Entry(
        name="delta_orthogonal", strategy="initialization",
        overrides=("initializer=delta_orthogonal", "initializer.gain={gain}"),
        reason="a convolution that starts as an orthogonal 1x1 map preserves norms through {depth} layers",
        source="Xiao et al. 2018", models=frozenset({"cnn"}), fits=activation_in(*CRITICAL),
    ),
    Entry(
        name="critical", strategy="initialization",
        overrides=(
            "initializer=mean_field", "initializer.weight_variance={weight_variance}",
            "initializer.bias_variance={bias_variance}",
        ),
        reason="at these variances {activation}'s gradient neither shrinks nor grows from layer to layer (chi = 1)",
        source="Poole et al. 2016; Schoenholz et al. 2017", fits=activation_in(*CRITICAL),
    ),
    Entry(
        name="recurrent_orthogonal", strategy="initialization", overrides=("recurrent_initializer=orthogonal",),
        reason="orthogonal recurrent weights preserve the state's norm from time step to time step",
        source="Saxe et al. 2014; Arjovsky et al. 2016", models=RECURRENT,
    ),
    Entry(
        name="irnn", strategy="activation", overrides=("activation=relu", "recurrent_initializer=identity"),
        reason="{slope}; a relu state that starts as a copy of the previous one passes the gradient unchanged",
        source="Le et al. 2015", models=frozenset({"rnn"}),
    ),
    Entry(
        name="batch_norm", strategy="normalization", overrides=("normalization=batch_norm",),
        reason="normalized inputs stay out of the flat parts of {activation}", source="Ioffe & Szegedy 2015",
        fits=lambda facts: (facts.values.get("train.batch_size") or 0) > 1,
    ),
    Entry(
        name="layer_norm", strategy="normalization", overrides=("normalization=layer_norm",),
        reason="each sample's signal has the same size in every layer, whatever the batch", source="Ba et al. 2016",
        models=LAYERED | RECURRENT,
    ),
    Entry(
        name="no_normalization", strategy="normalization", overrides=("normalization=none",),
        reason="without skips, batch norm makes the gradient grow from layer to layer, whatever the weights",
        source="Yang et al. 2019", swept=False,
    ),
    Entry(
        name="identity", strategy="residual", overrides=("residual=identity",),
        reason="the skip passes the gradient unchanged: d(F(x) + x)/dx = F' + 1", source="He et al. 2015",
        models=LAYERED | RECURRENT, fits=lambda facts: facts.depth > 1 and facts.choices.get("residual") == "none",
        advised=activation_in(*RECTIFIERS),
    ),
    Entry(
        name="pre_activation", strategy="residual", overrides=("residual=pre_activation",),
        reason="with nothing after the sum, the skips are one open path from the loss to layer 1",
        source="He et al. 2016", models=LAYERED | RECURRENT, fits=deeper_than(1),
    ),
    Entry(
        name="clip_norm", strategy="clipping", overrides=("clipping=norm",),
        reason="an exploding gradient is scaled to norm 1 and keeps its direction", source="Pascanu et al. 2013",
        models=_EVERY,
    ),
    Entry(
        name="clip_value", strategy="clipping", overrides=("clipping=value",),
        reason="no entry of the gradient can be larger than 1/2", source="Mikolov 2012", models=_EVERY,
    ),
    Entry(
        name="wider_clipping", strategy="clipping", overrides=("clipping.max_norm={wider:g}",),
        reason="a limit of {max_norm} clips nearly every step; ten times as much leaves ordinary gradients unclipped",
        source="Pascanu et al. 2013", models=_EVERY, fits=lambda facts: "clipping.max_norm" in facts.values,
        swept=False,
    ),
    Entry(
        name="lstm", strategy="gated cells", overrides=("model=lstm",),
        reason="the cell state is updated by addition, so its gradient shrinks only by the forget gate",
        source="Hochreiter & Schmidhuber 1997; Gers et al. 2000", models=frozenset({"rnn"}),
    ),
    Entry(
        name="gru", strategy="gated cells", overrides=("model=gru",),
        reason="the update gate can copy the state unchanged over many time steps", source="Cho et al. 2014",
        models=frozenset({"rnn", "lstm"}), advised=lambda facts: facts.model == "rnn",
    ),
    Entry(
        name="chrono", strategy="gated cells", overrides=("model.chrono=true",),
        reason="gates initialized to all time scales up to the sequence length remember that long from the start",
        source="Tallec & Ollivier 2018", models=frozenset({"lstm", "gru"}),
        fits=lambda facts: facts.values.get("model.bias") is True and not facts.values.get("model.chrono"),
    ),
    Entry(
        name="adagrad", strategy="optimizer", overrides=("optimizer=adagrad",),
        reason="each weight's step is divided by the size of its past gradients, so small gradients still move it",
        source="Duchi et al. 2011", models=_EVERY,
    ),
    Entry(
        name="rmsprop", strategy="optimizer", overrides=("optimizer=rmsprop",),
        reason="each weight's step is divided by the size of its recent gradients, so small gradients still move it",
        source="Hinton 2012", models=_EVERY,
    ),
    Entry(
        name="adam", strategy="optimizer", overrides=("optimizer=adam",),
        reason="each weight moves by about the learning rate, however small its gradient", source="Kingma & Ba 2015",
        models=_EVERY,
    ),
    Entry(
        name="warmup", strategy="schedule", overrides=("lr_scheduler=warmup_cosine",),
        reason="the first steps, where gradients are largest, are small", source="Goyal et al. 2017",
        models=_EVERY,
    ),
    Entry(
        name="decay", strategy="schedule", overrides=("lr_scheduler=polynomial",),
        reason="lr (1 - t/T)^2: large steps at first, small ones when the loss would oscillate",
        source="Liu et al. 2015", models=_EVERY,
    ),
    Entry(
        name="restart", strategy="schedule", overrides=("lr_scheduler=warm_restarts",),
        reason="a rate that decays and restarts gets out of flat regions", source="Loshchilov & Hutter 2017",
        models=_EVERY,
    ),
    Entry(
        name="range_test", strategy="learning rate", overrides=("optimizer.lr=auto",),
        reason="a range test finds a learning rate that suits this net", source="Smith 2017", models=_EVERY,
        fits=lambda facts: facts.lr is not None and facts.choices.get("optimizer") != "rprop",
    ),
    Entry(
        name="lower_rate", strategy="learning rate", overrides=("optimizer.lr={lower}",),
        reason="with a tenth of {lr} the steps stay within the range in which the gradient is valid",
        source="Bengio 2012", models=_EVERY, fits=lambda facts: facts.lr is not None,
    ),
    Entry(
        name="higher_rate", strategy="learning rate", overrides=("optimizer.lr={higher}",),
        reason="at {lr} the weights hardly move; this rate is ten times as high", source="Bengio 2012", models=_EVERY,
        fits=lambda facts: facts.lr is not None,
    ),
    Entry(
        name="deep_supervision", strategy="deep supervision", overrides=("model.auxiliary_every={every}",),
        reason="an auxiliary head every {every} layers puts a loss near the early layers", source="Lee et al. 2015",
        fits=lambda facts: (
            facts.depth > 3 and not facts.values.get("model.auxiliary_every") and facts.values["train.accumulate"] == 1
        ),
    ),
    Entry(
        name="shallower", strategy="less depth", overrides=("model.depth={shallower}",),
        reason="{shallower} layers multiply fewer factors than {depth}", source="Glorot & Bengio 2010",
        models=LAYERED | RECURRENT,
        fits=lambda facts: facts.depth > 3 and not (facts.values["train.freeze"] or facts.values["train.grow"]),
    ),
    Entry(
        name="standardize", strategy="input standardisation", overrides=("data.standardize=true",),
        reason="inputs of mean 0 and variance 1 suit every initializer", source="LeCun et al. 1998", models=_EVERY,
        fits=lambda facts: facts.values.get("data.standardize") is False,
    ),
    Entry(
        name="larger_batch", strategy="batch", overrides=("train.batch_size={larger_batch}",),
        reason="the mean of {larger_batch} samples' gradients is half as noisy", source="Bottou et al. 2018",
        models=_EVERY, swept=False,
    ),
    Entry(
        name="longer", strategy="steps", overrides=("train.steps={longer}",),
        reason="{steps} steps may be too few", source="Hoffer et al. 2017", models=_EVERY, swept=False,
    ),
    Entry(
        name="float64", strategy="precision", overrides=("train.dtype=float64", "train.autocast=none"),
        reason="float64 has numbers down to 1e-308, float32 only to 1e-38", source="IEEE 754", models=_EVERY,
        fits=lambda facts: not facts.values.get("train.tf32"), swept=False,
    ),
    Entry(
        name="bf16", strategy="precision", overrides=("train.autocast=bf16",),
        reason="bfloat16 has the range of float32, while float16 ends at 65504", source="Kalamkar et al. 2019",
        models=_EVERY, fits=lambda facts: facts.values.get("train.autocast") == "fp16", swept=False,
    ),
)  # fmt: skip
