"""Sensitivities against finite differences of the profile itself."""

import numpy as np
import pytest
from tests.support.theory import RELU, linear, phi_of
from torch import nn

from gradlab.theory.forecast import growth
from gradlab.theory.mean_field import tolerance
from gradlab.theory.network import Network
from gradlab.theory.profile import profile
from gradlab.theory.sensitivity import length_sensitivity

DEPTH = 8


def test_it_is_the_sum_of_squared_derivatives():
    """A change of ln q in layer l is a change of the inputs of the network that begins there."""
    phi = phi_of(nn.GELU())
    affine = linear(2.0)

    def grown(first, change):
        """The growth over all layers, where the length of one layer's z is multiplied by a factor."""
        whole = Network(phi=phi, stem=affine, blocks=[[affine] * (DEPTH - 1)], inputs=np.ones((1, 1, 1)))
        q = list(profile(whole).variances[: first + 1])
        q[first] *= change
        while len(q) < DEPTH:
            q.append(2.0 * float(phi.moments(q[-1]).square))
        factors = np.log(2.0 * phi.moments(np.array(q)).slope_square)[:-1]
        return growth(range(DEPTH), np.append(np.cumsum(factors[::-1])[::-1], 0.0)), q

    _, variances = grown(0, 1.0)
    found = length_sensitivity(phi, variances, weight_variances=[2.0] * (DEPTH - 1))
    slopes = [(grown(layer, 1.01)[0] - grown(layer, 0.99)[0]) / 0.02 for layer in range(DEPTH - 1)]
    assert found == pytest.approx(np.square(slopes).sum(), rel=0.01)


def test_relu_does_not_care_and_the_tolerance_is_the_plain_one():
    assert length_sensitivity(RELU, [1.0] * DEPTH, weight_variances=[2.0] * (DEPTH - 1)) == pytest.approx(
        0.0, abs=1e-12
    )
    plain = tolerance(5.0, width=256, depth=100)
    assert tolerance(5.0, width=256, depth=100, sensitivity=0.005) == plain
    assert tolerance(5.0, width=256, depth=100, sensitivity=0.1) > 3 * (plain - 5 / 512)
