"""Prediction over depth, for MLPs and CNNs."""

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
from gradlab.theory.finite import FEWEST
from gradlab.theory.forecast import ROUNDING, Forecast, deep, growth, random_walk
from gradlab.theory.gaussian import Array
from gradlab.theory.mean_field import critical_line
from gradlab.theory.network import Network
from gradlab.theory.profile import profile
from gradlab.theory.sensitivity import length_sensitivity
from gradlab.theory.step import size_growth

_LINE = (1e-8, 100.0, 120)  # q* along the critical line: first, last, number
_SPREAD, _UNSTABLE = 0.5, 1.005  # size spread that is no small perturbation any more; growth factor at which it grows
_GROUPS = 16  # number of groups of samples of similar size, each followed as one


def predict_depth(model: Model, inputs: Tensor) -> Forecast:
    """Predict the gradient at every layer of an MLP or a CNN.

    Args:
        model: The network.
        inputs: Its first batch [n, ...].

    Raises:
        NoPredictionError: If theory does not cover the network.
    """
    network = network_of(model, inputs)
    result = profile(network)
    if np.isnan(result.log_gradients).any():
        raise NoPredictionError(f"normalization over fewer than {FEWEST} numbers")
    if result.size_spread > _SPREAD and network.normalization == "batch" and size_growth(network.phi) > _UNSTABLE:
        raise NoPredictionError("with batch norm and this activation single samples outgrow their batch")
    affines = [network.stem, *(affine for block in network.blocks for affine in block)]
    blocked = not all(affine.weight_variance for affine in affines[1:])
    if blocked or (network.scales is not None and not any(network.scales)):
        return _skips_only(network, result.log_outputs)
    width = min(affine.width for affine in affines)
    chi, q_star = deep(network, result)
    sensitivity = _sensitivity(network, result.variances)
    # the narrowest layer fluctuates most
    walk = random_walk(result.walk, width=width, places=len(affines), sensitivity=sensitivity)
    margin = _batch_margin(network, result.log_gradients, inputs)
    return Forecast(
        places=range(1, len(affines) + 1),
        log_gradients=result.log_gradients,
        variances=result.variances,
        entries=[affine.width * positions for affine, positions in zip(affines, result.positions, strict=True)],
        chi=chi,
        q_star=q_star,
        tolerance=walk + margin,
        systematic=ROUNDING + margin + 1 / (2 * width),
    )


def network_of(model: Model, inputs: Tensor) -> Network:
    """Return the properties of an MLP or a CNN, and of its first batch, from which theory predicts.

    Raises:
        NoPredictionError: If theory does not cover the network.
    """
    if len(model.auxiliary):
        raise NoPredictionError("auxiliary heads add gradients of their own on the way")
    blocks = list(model.blocks)
    if not blocks:
        raise NoPredictionError("a growth per layer needs at least two hidden layers")
    scales = [_scale(block) for block in blocks]
    layers = _layers(model)
    kinds = {normalization_of(layer.normalization) for layer in layers}
    if len(kinds) > 1:
        raise NoPredictionError("the normalization is not the same in all layers")
    ((kind, epsilon, groups),) = kinds
    if kind == "batch" and len(inputs) < FEWEST:
        raise NoPredictionError(f"batch norm over fewer than {FEWEST} samples")
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
        groups=groups,
        inputs=squares,
        spread=spread,
        batch=len(inputs),
    )


def _layers(model: Model) -> list[Any]:
    """Return the layers that have an activation; with activation-first blocks the first layer has none."""
    inner = [layer for block in model.blocks for layer in block_layers(block)]
    return [model.stem, *inner] if hasattr(model.stem, "activation") else inner


def _scale(block: Any) -> float | None:
    """Return a in x + a F(x), or None if there is no skip."""
    if isinstance(block, nn.Sequential):
        return None
    if isinstance(block, StochasticDepth) and block.survival < 1:
        raise NoPredictionError("stochastic depth drops whole blocks at random, so one draw is far from the mean")
    if not isinstance(block, PreActivation):
        raise NoPredictionError(f"residual blocks of type {type(block).__name__} are not covered")
    if not isinstance(block.shortcut, nn.Identity):
        raise NoPredictionError("skips that change the shape of the map are not covered")
    return float(block.weigh(torch.ones(1, 1)).detach())  # as for a batch [n, features]


def _squares(model: Model, inputs: Tensor) -> tuple[Array, float]:
    """Return the inputs' mean square over features or channels [groups, h, w], and the share of it that varies.

    Samples are grouped by size, because a large input may saturate an activation that a small one does not.
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
    """Return `length_sensitivity` of a plain network; 0 for others, whose signal is normalized or carried by skips."""
    if network.normalization != "none" or network.scales is not None:
        return 0.0
    weights = [affine.weight_variance for affine in network.blocks[0]]
    return length_sensitivity(network.phi, variances, weight_variances=weights)


def _batch_margin(network: Network, log_gradients: Sequence[float], inputs: Tensor) -> float:
    """Return the change of the growth if the distances between a batch's samples are unequal; 0 without batch norm.

    They are unequal, because those of the inputs are and each layer's finite width adds to it. By how much is known.
    The unequal gradients may compensate for the effect on the units' variances, and for odd activations they do. So
    the change is a margin of the tolerance, not a correction.
    """
    if network.normalization != "batch":
        return 0.0
    centred = inputs.detach().double().cpu().flatten(1)
    centred = centred - centred.mean(0)
    gram = centred @ centred.T
    trace = float(gram.trace())
    unequal = (len(gram) - 1) * float(gram.square().sum()) / trace**2 - 1 if trace else 0.0
    changed = profile(replace(network, unequal=unequal)).log_gradients
    places = range(len(changed))
    return abs(growth(places, changed) - growth(places, log_gradients))


def _skips_only(network: Network, log_outputs: Sequence[float]) -> Forecast:
    """Return the prediction for blocks whose branches return no gradient: the skips carry it back unchanged."""
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
        assumes=["branches that return no gradient at initialization"],
    )


def critical_rows(model: nn.Module, inputs: Tensor) -> list[tuple[float, float, float]]:
    """Return the critical line of a plain network's activation as rows of q*, weight variance, bias variance.

    Args:
        model: The network. One that theory does not cover, or that has skips or normalization, gives no rows.
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
    # relu's bias variance is 0 at every q*; rounding makes it slightly positive or negative
    rows = zip(squares, weights, np.where(np.abs(biases) < 1e-9 * squares, 0.0, biases), strict=True)
    return [(float(q), float(w), float(b)) for q, w, b in rows if b >= 0 and np.isfinite(w)]
