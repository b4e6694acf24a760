"""Recurrent networks: a plain RNN, an LSTM and a GRU."""

from collections.abc import Callable, Sequence
from typing import Annotated

from annotated_types import Ge
from torch import nn

from gradlab.nn import cells
from gradlab.nn.layers import Activation, Initializer, Normalization, Residual
from gradlab.nn.recurrent import RecurrentLayer
from gradlab.nn.recurrent_init import (
    FORGET,
    INPUT,
    UPDATE,
    SetBiases,
    chrono_biases,
    constant_bias,
    initialize,
    keep_biases,
)
from gradlab.nn.recurrent_net import MakeLayer, Recurrent, sequence_shape

Chrono = bool | Annotated[float, Ge(2)]
_KERNELS: dict[type[nn.Module], str] = {nn.Tanh: "tanh", nn.ReLU: "relu"}


def rnn(
    *,
    input_shape: tuple[int, ...],
    outputs: int,
    each_step: bool = False,
    depth: int,
    width: int,
    bias: bool,
    activation: Activation,
    initializer: Initializer,
    recurrent_initializer: Initializer,
    normalization: Normalization,
    residual: Residual,
) -> Recurrent:
    """Return a plain recurrent network: h_t = phi(W x_t + U h_(t-1) + b) (Elman 1990).

    Args:
        input_shape: Shape of one input.
        outputs: Number of classes, or of values to predict.
        each_step: Whether the head is applied at every time step, not only at the last.
        depth: Number of recurrent layers.
        width: Number of units in each.
        bias: Whether layers and head have biases.
        activation: Factory of phi; torch has kernels for tanh and relu, which train several times as fast.
        initializer: Rule that sets input matrices, the head, and the biases.
        recurrent_initializer: Rule that sets the recurrent matrices.
        normalization: Factory of the normalization of each layer's z.
        residual: Factory of the residual blocks between layers.
    """

    def make(features: int, normalize: cells.Normalize) -> RecurrentLayer:
        phi = activation()
        cell = cells.Elman(width, normalize, phi)
        kernel = _KERNELS.get(type(phi), "")
        # without a kernel this module only holds the weights, and its nonlinearity is unused
        weights = nn.RNN(features, width, nonlinearity=kernel or "tanh", bias=bias, batch_first=True)
        initialize(
            weights,
            activations=[phi],
            initializer=initializer,
            recurrent_initializer=recurrent_initializer,
            set_biases=keep_biases,
        )
        return RecurrentLayer(weights, cell, native=bool(kernel) and isinstance(cell.normalization, nn.Identity))

    return Recurrent(
        input_shape=input_shape,
        outputs=outputs,
        each_step=each_step,
        depth=depth,
        width=width,
        make=make,
        initializer=initializer,
        normalization=normalization,
        residual=residual,
        bias=bias,
    )


def lstm(
    *,
    input_shape: tuple[int, ...],
    outputs: int,
    each_step: bool = False,
    depth: int,
    width: int,
    bias: bool,
    forget_bias: float,
    chrono: Chrono,
    initializer: Initializer,
    recurrent_initializer: Initializer,
    normalization: Normalization,
    residual: Residual,
) -> Recurrent:
    """Return a long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    Args:
        input_shape: Shape of one input.
        outputs: Number of classes, or of values to predict.
        each_step: Whether the head is applied at every time step, not only at the last.
        depth: Number of recurrent layers.
        width: Number of units in each.
        bias: Whether layers and head have biases.
        forget_bias: Initial bias of the forget gate, the sum of torch's two bias vectors, unless ``initializer`` sets
            biases itself.
        chrono: Chrono initialization instead of ``forget_bias``; a number is its longest dependency, which is
            otherwise the data's length.
        initializer: Rule that sets each gate's input matrix, the head, and the biases.
        recurrent_initializer: Rule that sets each gate's recurrent matrix.
        normalization: Factory of the normalization within the cell.
        residual: Factory of the residual blocks between layers.

    Raises:
        ValueError: If ``chrono`` finds no bias, or a sequence that is too short.
    """
    longest = _longest(chrono, input_shape, bias=bias)
    set_biases = chrono_biases(longest, keep=FORGET, write=INPUT) if longest else constant_bias(FORGET, forget_bias)
    gate, candidate = nn.Sigmoid(), nn.Tanh()
    return Recurrent(
        input_shape=input_shape,
        outputs=outputs,
        each_step=each_step,
        depth=depth,
        width=width,
        make=_gated(
            nn.LSTM,
            cells.LSTM,
            width,
            bias=bias,
            activations=(gate, gate, candidate, gate),
            initializer=initializer,
            recurrent_initializer=recurrent_initializer,
            set_biases=set_biases,
        ),
        initializer=initializer,
        normalization=normalization,
        residual=residual,
        bias=bias,
    )


def gru(
    *,
    input_shape: tuple[int, ...],
    outputs: int,
    each_step: bool = False,
    depth: int,
    width: int,
    bias: bool,
    chrono: Chrono,
    initializer: Initializer,
    recurrent_initializer: Initializer,
    normalization: Normalization,
    residual: Residual,
) -> Recurrent:
    """Return a network of gated recurrent units (Cho et al. 2014), in torch's variant.

    Args:
        input_shape: Shape of one input.
        outputs: Number of classes, or of values to predict.
        each_step: Whether the head is applied at every time step, not only at the last.
        depth: Number of recurrent layers.
        width: Number of units in each.
        bias: Whether layers and head have biases.
        chrono: Chrono initialization of the update gate, unless ``initializer`` sets biases itself; a number is its
            longest dependency, which is otherwise the data's length.
        initializer: Rule that sets each gate's input matrix, the head, and the biases.
        recurrent_initializer: Rule that sets each gate's recurrent matrix.
        normalization: Factory of the normalization within the cell.
        residual: Factory of the residual blocks between layers.

    Raises:
        ValueError: If ``chrono`` finds no bias, or a sequence that is too short.
    """
    longest = _longest(chrono, input_shape, bias=bias)
    gate, candidate = nn.Sigmoid(), nn.Tanh()
    return Recurrent(
        input_shape=input_shape,
        outputs=outputs,
        each_step=each_step,
        depth=depth,
        width=width,
        make=_gated(
            nn.GRU,
            cells.GRU,
            width,
            bias=bias,
            activations=(gate, gate, candidate),
            initializer=initializer,
            recurrent_initializer=recurrent_initializer,
            set_biases=chrono_biases(longest, keep=UPDATE) if longest else keep_biases,
        ),
        initializer=initializer,
        normalization=normalization,
        residual=residual,
        bias=bias,
    )


def _gated(
    kernel: type[nn.LSTM] | type[nn.GRU],
    cell: Callable[[int, cells.Normalize], cells.Gated],
    width: int,
    *,
    bias: bool,
    activations: Sequence[nn.Module],
    initializer: Initializer,
    recurrent_initializer: Initializer,
    set_biases: SetBiases,
) -> MakeLayer:
    """Return the factory of one LSTM or GRU layer."""

    def make(features: int, normalize: cells.Normalize) -> RecurrentLayer:
        weights = kernel(features, width, bias=bias, batch_first=True)
        initialize(
            weights,
            activations=activations,
            initializer=initializer,
            recurrent_initializer=recurrent_initializer,
            set_biases=set_biases,
        )
        # native only without normalization, which torch's kernels do not have
        return RecurrentLayer(weights, cell(width, normalize), native=isinstance(normalize(width), nn.Identity))

    return make


def _longest(chrono: Chrono, input_shape: tuple[int, ...], *, bias: bool) -> float:
    """Return the longest dependency of chrono initialization in time steps, or 0 if it is off."""
    if chrono is False:
        return 0
    if not bias:
        raise ValueError("chrono sets biases, but this model has none")
    return sequence_shape(input_shape)[0] if chrono is True else chrono
