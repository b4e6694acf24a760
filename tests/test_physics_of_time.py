"""gradlab's timesteps.csv against the theory of recurrent nets."""

from math import exp, log, sqrt

import numpy as np
import pandas as pd
import pytest
import torch

from tests.support.theory import NODES, gaussian_mean, slope_moments


@pytest.mark.parametrize(("g2", "s2"), [(0.8, 0.1), pytest.param(1.5, 0.1, marks=pytest.mark.slow), (4.0, 0.5)])
def test_a_tanh_rnn_passes_chi_back_per_time_step(run, g2, s2):
    """Rows of noise images are N(0, 1) inputs; q = g2 E tanh^2 + s2, squared norms grow by chi = g2 E tanh'^2."""
    q = 1.0
    for _ in range(1000):
        q = g2 * gaussian_mean(np.tanh(sqrt(q) * NODES) ** 2) + s2
    square, v = slope_moments(torch.tanh, q)
    width, length, seeds = 256, 64, 3
    growth = []
    for seed in range(seeds):
        done = run(
            "train=init", "model=rnn", f"model.width={width}", f"seed={seed}", "data=fake_images",
            f"data.size={length}", "data.samples=128", "initializer=mean_field", f"initializer.weight_variance={s2}",
            "recurrent_initializer=mean_field", f"recurrent_initializer.weight_variance={g2}",
        )  # fmt: skip
        table = pd.read_csv(done.folder / "timesteps.csv").loc[10:]
        growth.append(-np.polyfit(table.time, 2 * np.log(table.hidden_grad_norm), 1)[0])
        std = done.hidden().preactivation_std.loc[1]
        assert std**2 == pytest.approx(q, rel=0.1)
    # one matrix serves every step, so its fluctuation of v / width does not average out over time
    assert np.mean(growth) == pytest.approx(log(g2 * square), abs=v / (2 * width) + 4 * sqrt(v / width / seeds))


@pytest.mark.parametrize("bias", [-1.0, 1.0, 2.5])
def test_an_lstm_of_zero_weights_forgets_by_the_sigmoid_of_its_bias(run, bias):
    done = run(
        "train=init", "model=lstm", "data=adding", "data.length=200", "initializer=zeros", "train.dtype=float64",
        "recurrent_initializer=zeros", f"model.forget_bias={bias}",
    )  # fmt: skip
    grads = pd.read_csv(done.folder / "timesteps.csv").cell_grad_norm
    decay = 1 / (1 + exp(-bias))
    assert grads.iloc[0] / grads.iloc[-1] == pytest.approx(decay**199, rel=1e-10)
    assert (grads / grads.shift(-1)).iloc[:-1].to_numpy() == pytest.approx(decay, rel=1e-12)
