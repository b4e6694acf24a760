"""Labelled configs of bench_diagnosis.py: the fault of each, if any, and the evidence for the label.

Every faulty config is a sound one with one change. The labels were written before the rules were run on them.
`HELD_OUT` has other widths, depths, data and optimizers, and was not used to choose thresholds.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradlab.data.dataset import Dataset
from gradlab.data.digits import digits


@dataclass(frozen=True)
class Case:
    """One config.

    Attributes:
        overrides: Overrides of the config.
        causes: Correct root causes, empty for a sound config; two if both names describe the fault.
        reason: Evidence for the label: ``theory``, ``construction`` (the change) or ``outcome`` (of the training).
    """

    overrides: str
    causes: tuple[str, ...]
    reason: str


def biased(layer: nn.Module, *, activation: nn.Module, bias: float) -> None:
    """Initialize like He et al. 2015, with a large bias."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # pyright: ignore[reportArgumentType]
    nn.init.constant_(layer.bias, bias)  # pyright: ignore[reportArgumentType]


def broken_digits(*, unit: float = float("nan")) -> Dataset:
    """Digits of which one in ten has a pixel that is not a number."""
    data = digits()
    inputs: Tensor = data.train_inputs.clone()
    inputs[::10, 0] = unit
    return Dataset(
        train_inputs=inputs, train_targets=data.train_targets, test_inputs=data.test_inputs,
        test_targets=data.test_targets, outputs=data.outputs, task="classification",
    )  # fmt: skip


def shuffled_digits(*, seed: int = 0) -> Dataset:
    """Digits with shuffled labels, which can only be memorized."""
    data = digits()
    order = torch.randperm(len(data.train_targets), generator=torch.Generator().manual_seed(seed))
    return Dataset(
        train_inputs=data.train_inputs, train_targets=data.train_targets[order], test_inputs=data.test_inputs,
        test_targets=data.test_targets, outputs=data.outputs, task="classification",
    )  # fmt: skip


def _cases(cause: str, reason: str, *lines: str) -> list[Case]:
    return [Case(line, tuple(cause.split()), reason) for line in lines]


_BIASED = "~initializer.gain ~initializer.mode initializer._target_=bench_cases.biased +initializer.bias"
_DATA = "~data.standardize ~data.scale data._target_=bench_cases"
_ADDING = "data=adding data.length"

CASES = [
    *_cases(
        "", "outcome",
        "train.steps=200",
        "model.depth=3 activation=tanh initializer=xavier_normal train.steps=300",
        "model.depth=20 train.steps=300",
        "model.depth=30 clipping=norm train.steps=300",
        "model.depth=10 activation=selu initializer=lecun_normal train.steps=200",
        "model.depth=8 activation=elu initializer=kaiming_normal train.steps=200",
        "model.depth=8 activation=gelu optimizer=adam train.steps=200",
        "model.depth=8 activation=leaky_relu optimizer=adam train.steps=200",
        "model.depth=2 activation=sigmoid initializer=xavier_normal optimizer=adam optimizer.lr=0.01 train.steps=200",
        "model.depth=10 normalization=batch_norm train.steps=200",
        "model.depth=10 normalization=layer_norm train.steps=200",
        "model.depth=30 residual=pre_activation activation=tanh initializer=xavier_normal train.steps=200",
        "model.depth=30 residual=scaled train.steps=200",
        "model.depth=30 residual=rezero train.steps=200",
        "model.depth=20 residual=fixup train.steps=200",
        "model.depth=20 residual=highway optimizer=adam train.steps=300",
        "model.depth=20 activation=tanh initializer=orthogonal train.steps=200",
        "model.depth=30 initializer=xavier_normal optimizer=adam train.steps=300",
        "model.depth=30 normalization=batch_norm residual=identity train.steps=200",
        "model.depth=5 clipping=norm optimizer=adam train.batch_size=16 train.steps=300",
        "model=cnn model.depth=5 train.steps=200",
        "model=cnn model.depth=7 normalization=batch_norm residual=identity train.steps=150",
        "model=gru train.steps=200 optimizer.lr=0.005",
        "model=lstm train.steps=200 optimizer.lr=0.005",
        "model=rnn train.steps=200 optimizer.lr=0.005",
        f"model=gru {_ADDING}=10 optimizer.lr=0.01 train.steps=300",
    ),
    *_cases(
        "", "theory",
        "train=init",
        "model.depth=50 train=init",
        "model.depth=50 activation=tanh initializer=orthogonal train=init",
        "model.depth=50 residual=pre_activation activation=tanh initializer=xavier_normal train=init",
    ),
    *_cases(
        "vanishing", "theory",  # a sigmoid's slope is at most 1/4
        "model.depth=8 activation=sigmoid initializer=xavier_normal train.steps=200",
        "model.depth=20 activation=sigmoid initializer=xavier_normal train.steps=200",
        "model.depth=50 activation=sigmoid train=init",
        "model.depth=60 model.width=256 activation=sigmoid initializer=xavier_normal train=init",
        "model.depth=20 activation=sigmoid initializer=xavier_normal optimizer=adam train.steps=200",
        "model.depth=20 activation=sigmoid initializer=xavier_normal normalization=layer_norm train.steps=200",
        "model.depth=20 activation=sigmoid initializer=xavier_normal clipping=norm train.steps=200",
        "model=cnn model.depth=8 activation=sigmoid initializer=xavier_normal train.steps=150",
    ),
    *_cases(
        "poor_initialization", "construction",
        "model.depth=30 initializer=xavier_normal train.steps=200",
        "model.depth=20 initializer=uniform train.steps=200",
        "model.depth=5 initializer=zeros train.steps=100",
        "model.depth=20 activation=tanh initializer=mean_field initializer.weight_variance=0.2 train.steps=200",
        "model.depth=30 initializer=mean_field initializer.weight_variance=8 train=init",
        "model.depth=20 initializer=mean_field initializer.weight_variance=20 train.steps=100",
        "model.depth=30 initializer=xavier_normal train=init",
        "model=cnn model.depth=16 initializer=uniform train.steps=100",
    ),
    *_cases(
        "exploding", "theory",  # chi = 1.4 to 5 in the chaotic phase, while tanh bounds the signal
        "model.depth=50 activation=tanh initializer=mean_field initializer.weight_variance=4 train.steps=200",
        "model.depth=60 activation=tanh initializer=mean_field initializer.weight_variance=3 train=init",
    ),
    *_cases(
        "exploding exploding_activations", "construction",  # forward and backward pass have the same matrix
        f"model=rnn {_ADDING}=40 activation=identity recurrent_initializer.gain=1.3 clipping=none train.steps=100",
    ),
    *_cases(
        "batch_norm_explosion", "theory",
        "model.depth=50 normalization=batch_norm train=init",
        "model.depth=60 model.width=64 normalization=batch_norm train.steps=200",
        "model.depth=80 model.width=64 normalization=batch_norm optimizer=sgd train.steps=100",
    ),
    *_cases(
        "exploding_activations", "theory",  # each block doubles the variance
        "model.depth=60 residual=identity train.steps=100",
        "model.depth=60 residual=identity train=init",
    ),
    *_cases(
        "exploding_activations", "construction",
        "model.depth=8 data.scale=1000 train.steps=100",
    ),
    *_cases(
        "dead_units", "construction",
        f"model.depth=5 {_BIASED}=-30 train.steps=200",
        f"model.depth=5 {_BIASED}=-30 train=init",
        f"model=cnn model.depth=5 {_BIASED}=-30 train.steps=100",
    ),
    *_cases(
        "saturation", "construction",
        f"model.depth=6 activation=tanh {_BIASED}=20 train.steps=200",
        "model.depth=8 activation=tanh initializer=mean_field initializer.weight_variance=200 train.steps=100",
        f"model.depth=4 activation=sigmoid {_BIASED}=25 optimizer=adam train.steps=200",
    ),
    *_cases(
        "learning_rate_too_high", "construction",
        "model.depth=5 optimizer.lr=5 train.steps=100",
        "model.depth=5 optimizer=adam optimizer.lr=1 train.steps=150",
        "model.depth=10 optimizer.lr=1 train.steps=150",
        "model.depth=5 activation=tanh initializer=xavier_normal optimizer.lr=20 train.steps=150",
        "model=cnn model.depth=5 optimizer.lr=5 train.steps=100",
        "model=gru optimizer.lr=3 train.steps=150",
    ),
    *_cases(
        "learning_rate_too_low", "construction",
        "model.depth=5 optimizer.lr=1e-6 train.steps=200",
        "model.depth=5 optimizer=adam optimizer.lr=1e-7 train.steps=200",
        "model=cnn model.depth=5 optimizer.lr=1e-6 train.steps=100",
        "model=gru optimizer.lr=1e-7 train.steps=150",
        "model.depth=10 residual=pre_activation optimizer.lr=1e-6 train.steps=150",
    ),
    *_cases(
        "clipping_always_active", "construction",
        "model.depth=5 clipping=norm clipping.max_norm=1e-4 train.steps=200",
        "model.depth=5 clipping=value clipping.max_value=1e-7 train.steps=200",
        "model=cnn model.depth=5 clipping=norm clipping.max_norm=1e-4 train.steps=100",
    ),
    *_cases(
        "short_memory", "construction",
        f"model=rnn {_ADDING}=60 optimizer.lr=0.003 train.steps=200",
        f"model=rnn {_ADDING}=100 train=init",
        f"model=lstm model.forget_bias=-3 {_ADDING}=60 optimizer.lr=0.003 train.steps=150",
        f"model=rnn {_ADDING}=30 recurrent_initializer.gain=0.5 optimizer.lr=0.003 train.steps=150",
    ),
    *_cases("not_finite", "construction", f"model.depth=5 {_DATA}.broken_digits train.steps=100"),
    *_cases(
        "loss_not_falling", "construction",
        "model.depth=3 data=gaussian train.steps=150",
        f"model.depth=3 {_DATA}.shuffled_digits optimizer.lr=0.005 train.steps=100",
    ),
]  # fmt: skip

HELD_OUT = [
    *_cases(
        "", "outcome",
        "model.depth=6 model.width=40 train.steps=300",
        "model.depth=15 model.width=256 train.steps=200",
        "model.depth=5 activation=softsign initializer=xavier_normal train.steps=300",
        "model.depth=12 activation=silu optimizer=adamw optimizer.lr=0.002 train.steps=250",
        "model.depth=6 activation=hardtanh optimizer=rmsprop train.steps=250",
        "model.depth=7 optimizer=nesterov lr_scheduler=warmup_cosine train.steps=250",
        "model.depth=24 residual=scaled optimizer=adam train.steps=250",
        "model.depth=16 normalization=rms_norm activation=gelu train.steps=200",
        "model.depth=40 normalization=layer_norm residual=pre_activation optimizer=adam train.steps=200",
        "model.depth=4 optimizer=adagrad train.steps=250",
        "model.depth=25 activation=tanh initializer=lsuv train.steps=250",
        "model=cnn model.depth=6 activation=elu train.steps=200",
        "model=cnn model.depth=8 normalization=group_norm residual=identity train.steps=200",
        "model=lstm model.width=40 data=sequential_digits optimizer.lr=0.01 train.steps=300",
        "model=gru model.depth=2 optimizer.lr=0.005 train.steps=200",
        f"model=lstm {_ADDING}=8 optimizer.lr=0.02 train.steps=300",
        "model=linear data=linear_regression optimizer=adam optimizer.lr=0.1 train.steps=200",
    ),
    *_cases(
        "", "theory",
        "model.depth=35 model.width=300 data=gaussian data.features=100 train=init",
        "model.depth=100 activation=identity initializer=orthogonal train=init",
        "model.depth=40 residual=rezero data=gaussian train=init",
    ),
    *_cases(
        "vanishing", "theory",
        "model.depth=12 model.width=200 activation=sigmoid train.steps=200",
        "model.depth=35 activation=sigmoid initializer=orthogonal train=init",
        "model.depth=15 activation=sigmoid optimizer=rmsprop train.steps=150",
        "model.depth=14 model.width=64 activation=sigmoid residual=identity train.steps=200",
        "model=cnn model.depth=12 activation=sigmoid data=fake_images data.size=8 train=init",
    ),
    *_cases(
        "poor_initialization", "construction",
        "model.depth=40 model.width=100 initializer=xavier_uniform optimizer=nesterov train.steps=150",
        "model.depth=16 activation=elu initializer=mean_field initializer.weight_variance=0.15 train.steps=200",
        "model.depth=25 model.width=200 initializer=mean_field initializer.weight_variance=6 train=init",
        "model.depth=15 activation=leaky_relu initializer=uniform data=gaussian train=init",
        "model=cnn model.depth=12 model.stages=1 initializer=mean_field initializer.weight_variance=.3 train.steps=99",
    ),
    *_cases(
        "exploding", "theory",
        "model.depth=45 model.width=300 activation=erf initializer=mean_field initializer.weight_variance=4 train=init",
    ),
    *_cases(
        "batch_norm_explosion", "theory",
        "model.depth=45 model.width=100 normalization=batch_norm train.batch_size=128 train=init",
        "model.depth=70 model.width=48 normalization=batch_norm optimizer=nesterov train.steps=100",
        "model=cnn model.depth=50 model.stages=1 model.width=8 normalization=batch_norm train=init",
    ),
    *_cases(
        "exploding_activations", "theory", "model.depth=80 model.width=64 residual=identity data=gaussian train=init"
    ),
    *_cases(
        "dead_units", "construction",
        f"model.depth=7 model.width=60 {_BIASED}=-40 optimizer=adam train.steps=150",
    ),
    *_cases(
        "saturation", "construction",
        f"model.depth=5 model.width=80 activation=softsign {_BIASED}=200 optimizer=nesterov train.steps=150",
    ),
    *_cases(
        "learning_rate_too_high", "construction",
        "model.depth=4 model.width=64 optimizer=nesterov optimizer.lr=10 train.steps=100",
        "model.depth=6 optimizer=rmsprop optimizer.lr=1 train.steps=120",
        "model.depth=8 activation=elu optimizer=sgd optimizer.lr=100 train.steps=100",
        "model=lstm optimizer.lr=10 train.steps=120",
        "model.depth=12 residual=pre_activation optimizer=adam optimizer.lr=3 train.steps=100",
    ),
    *_cases(
        "learning_rate_too_low", "construction",
        "model.depth=6 model.width=200 optimizer=sgd optimizer.lr=1e-5 train.steps=150",
        "model.depth=4 activation=tanh optimizer=rmsprop optimizer.lr=1e-8 train.steps=200",
        "model=lstm optimizer.lr=1e-7 data=sequential_digits train.steps=100",
    ),
    *_cases(
        "clipping_always_active", "construction",
        "model.depth=8 model.width=64 clipping=per_layer clipping.max_norm=1e-5 train.steps=150",
        "model.depth=3 activation=tanh clipping=norm clipping.max_norm=3e-4 optimizer=sgd train.steps=200",
    ),
    *_cases(
        "short_memory", "construction",
        f"model=rnn model.width=40 {_ADDING}=80 optimizer.lr=0.002 train.steps=150",
        f"model=rnn activation=softsign {_ADDING}=50 train=init",
    ),
    *_cases("loss_not_falling", "construction", "model=cnn model.depth=4 data=fake_images data.size=8 train.steps=100"),
]  # fmt: skip
