"""The prediction over depth, of MLPs and CNNs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradlab.nn.blocks import block_layers
from gradlab.nn.network import Network as Model
from gradlab.nn.residual import PreActivation, StochasticDepth
from gradlab.prediction.activation import phi_of
from gradlab.prediction.norm import normalization_of
from gradlab.prediction.reasons import NoPredictionError
from gradlab.prediction.weights import affine_of
from gradlab.theory.forecast import Forecast, deep, growth, random_walk
from gradlab.theory.gaussian import Array
from gradlab.theory.mean_field import critical_line
from gradlab.theory.profile import Network, outgrowing, profile
from gradlab.theory.sensitivity import length_sensitivity

_LINE = (1e-8, 100.0, 120)  # q* along the critical line: from, to, how many
_APART, _UNSTABLE = 0.5, 1.005  # sizes of samples are no longer a small perturbation; the perturbation grows
_GROUPS = 16  # samples of like size that are followed together


def predict_depth(model: Model, inputs: Tensor) -> Forecast:
    """Predict the gradient at every layer of an MLP or a CNN.

    Args:
        model: The network.
        inputs: Its first batch [n, ...].

    Raises:
        NoPredictionError: Theory does not cover it.
    """
    network = network_of(model, inputs)
    found = profile(network)
    if found.apart > _APART and network.normalization == "batch" and outgrowing(network.phi) > _UNSTABLE:
        raise NoPredictionError("batch norm under an activation with which single samples outgrow their batch")
    affines = [network.stem, *(affine for block in network.blocks for affine in block)]
    silent = not all(affine.weight_variance for affine in affines[1:])
    if silent or (network.scales is not None and not any(network.scales)):
        return _closed(network, found.log_outputs)
    width = min(affine.width for affine in affines)
    groups = normalization_of(_layers(model)[-1].normalization)[2]
    chi, q_star = deep(network, found)
    sensitivity = _sensitivity(network, found.variances)
    walk = random_walk(found.walk, width=width / groups, places=len(affines), sensitivity=sensitivity)
    return Forecast(
        places=range(1, len(affines) + 1),
        log_gradients=found.log_gradients,
        variances=found.variances,
        entries=[affine.width * positions for affine, positions in zip(affines, found.positions, strict=True)],
        chi=chi,
        q_star=q_star,
        tolerance=walk + _batch_margin(network, found.log_gradients, inputs),
    )


def network_of(model: Model, inputs: Tensor) -> Network:
    """Return what theory needs to know of an MLP or a CNN and its first batch.

    Raises:
        NoPredictionError: Theory does not cover it.
    """
    if len(model.auxiliary):
        raise NoPredictionError("auxiliary heads add gradients of their own on the way")
    blocks = list(model.blocks)
    if not blocks:
        raise NoPredictionError("one hidden layer has nothing to compare with")
    scales = [_scale(block) for block in blocks]
    layers = _layers(model)
    kinds = {normalization_of(layer.normalization) for layer in layers}
    if len(kinds) > 1:
        raise NoPredictionError("the normalization is not the same in all layers")
    ((kind, epsilon, _),) = kinds
    if kind == "batch" and len(inputs) < 4:
        raise NoPredictionError("batch norm over fewer than 4 samples")
    branches = [[affine_of(layer.affine) for layer in block_layers(block)] for block in blocks]
    plain = None in scales
    squares, spread = _squares(model, inputs)
    return Network(
        phi=phi_of([layer.activation for layer in layers]),
        stem=affine_of(model.stem.affine, first=True),
        blocks=[[affine for branch in branches for affine in branch]] if plain else branches,
        scales=None if plain else [scale for scale in scales if scale is not None],
        normalization=kind,
        epsilon=epsilon,
        inputs=squares,
        spread=spread,
        batch=len(inputs),
    )


def _layers(model: Model) -> list[Any]:
    """Return the layers that have an activation: in activation-first blocks the first layer has none."""
    inner = [layer for block in model.blocks for layer in block_layers(block)]
    return [model.stem, *inner] if hasattr(model.stem, "activation") else inner


def _scale(block: Any) -> float | None:
    """Return a in x + a F(x), None where there is no skip."""
    if isinstance(block, nn.Sequential):
        return None
    if isinstance(block, StochasticDepth) and block.survival < 1:
        raise NoPredictionError("stochastic depth drops whole blocks at random: one draw is far from the mean")
    if not isinstance(block, PreActivation):
        raise NoPredictionError(f"theory does not know residual blocks of type {type(block).__name__}")
    if not isinstance(block.shortcut, nn.Identity):
        raise NoPredictionError("skips that change the shape of the map")
    return float(block.weigh(torch.ones(())).detach())


def _squares(model: Model, inputs: Tensor) -> tuple[Array, float]:
    """Return the mean square of the inputs over features or channels [groups, h, w], and its share that varies.

    Samples are put into groups of like size: a large input saturates an activation that a small one does not.
    """
    x = inputs.detach().double().cpu()
    x = x.flatten(1)[:, :, None, None] if isinstance(model.stem.affine, nn.Linear) else x
    squares = x.square().mean(1)
    order = squares.mean((1, 2)).argsort()
    groups = [squares[part].mean(0) for part in order.tensor_split(min(_GROUPS, len(x)))]
    mean = x.mean((0, 2, 3))
    total = float(x.square().mean())
    return torch.stack(groups).numpy(), 1 - float(mean.square().mean()) / total if total else 1.0


def _sensitivity(network: Network, variances: Sequence[float]) -> float:
    """Return how the growth depends on the lengths of a plain network's z; others keep theirs or add to it."""
    if network.normalization != "none" or network.scales is not None:
        return 0.0
    weights = [affine.weight_variance for affine in network.blocks[0]]
    return length_sensitivity(network.phi, variances, weight_variances=weights)


def _batch_margin(network: Network, log_gradients: Sequence[float], inputs: Tensor) -> float:
    """Return by how much the growth would change if the samples that batch norm sees were unequally far apart.

    They are: the inputs are, and so does each layer's finite width make them. Theory knows by how much, but not whether
    the gradients, unequal as well, make up for what that does to the units' variances: for odd activations they do.
    """
    if network.normalization != "batch":
        return 0.0
    centred = inputs.detach().double().cpu().flatten(1)
    centred = centred - centred.mean(0)
    gram = centred @ centred.T
    trace = float(gram.trace())
    unequal = (len(gram) - 1) * float(gram.square().sum()) / trace**2 - 1 if trace else 0.0
    other = profile(replace(network, unequal=unequal)).log_gradients
    places = range(len(other))
    return abs(growth(places, other) - growth(places, log_gradients))


def _closed(network: Network, log_outputs: Sequence[float]) -> Forecast:
    """Return the prediction for blocks whose branches give nothing back: the skip carries the gradient unchanged."""
    if network.scales is None:
        raise NoPredictionError("weights of 0 send no gradient back")
    places = [1]
    for block in network.blocks:
        places.append(places[-1] + len(block))
    return Forecast(
        column="activation_grad_norm",
        places=places,
        log_gradients=log_outputs,
        chi=1.0,
        tolerance=random_walk(0.0, width=1, places=len(places)),
        assumes=["branches that are closed at the start"],
    )


def critical_rows(model: nn.Module, inputs: Tensor) -> list[tuple[float, float, float]]:
    """Return the critical line of a plain network's activation as rows of q*, weight variance, bias variance.

    Args:
        model: The network; for one that theory does not cover, or that has skips or normalization, there are no rows.
        inputs: Its first batch.
    """
    try:
        network = network_of(model, inputs) if isinstance(model, Model) else None
    except NoPredictionError:
        return []
    if network is None or network.scales is not None or network.normalization != "none":
        return []
    squares = np.geomspace(*_LINE)
    weights, biases = critical_line(network.phi, squares)
    # Rounding puts relu's biases, which are 0 at every q*, on either side of it.
    rows = zip(squares, weights, np.where(np.abs(biases) < 1e-9 * squares, 0.0, biases), strict=True)
    return [(float(q), float(w), float(b)) for q, w, b in rows if b >= 0 and np.isfinite(w)]
