"""One time step of an Elman RNN, an LSTM and a GRU, with torch's order and signs of the gates.

A cell is called as ``cell(from_input, from_state, state)``: the outputs of the input matrix and of the recurrent
matrix, each [n, gates * width], and the previous state. It returns z in one or two pieces, [n, …], and the new state,
whose first tensor is h. Layer normalization is placed as in Ba et al. 2016 (supplement).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]
Normalize = Callable[[int], nn.Module]


class Cell(nn.Module):
    """One time step of a recurrent layer.

    Attributes:
        states: Number of tensors in the state.
        activation: The activation between z and h, or None if there is more than one.
    """

    states = 1
    activation: Any

    def map_norm(self) -> nn.Module:
        """Return a new normalization for the output of one of the two matrices."""
        return nn.Identity()

    def activation_inputs(self, preactivations: Tensor) -> Tensor:
        """Return the activation's input, given z."""
        return preactivations


class Elman(Cell):
    """h = phi(norm(z)): one activation and one normalization of the sum (Elman 1990; Ba et al., eq. 4).

    Args:
        width: Number of units.
        normalize: Returns the normalization of a number of features.
        activation: phi.
    """

    def __init__(self, width: int, normalize: Normalize, activation: nn.Module) -> None:
        super().__init__()
        self.normalization, self.activation = normalize(width), activation

    def activation_inputs(self, preactivations: Tensor) -> Tensor:
        """Return norm(z), given z [..., width]."""
        return self.normalization(preactivations)

    def forward(self, from_input: Tensor, from_state: Tensor, state: State) -> tuple[State, State]:
        """Map the two parts of z [n, width] and (h,) to (z,) and (h,)."""
        z = from_input + from_state
        return (z,), (self.activation(self.normalization(z)),)


class Gated(Cell):
    """Base of LSTM and GRU: several activations, and normalization over groups of gates.

    Args:
        sizes: Number of features in each group.
        normalize: Returns the normalization of a number of features.
    """

    activation = None

    def __init__(self, sizes: tuple[int, ...], normalize: Normalize) -> None:
        super().__init__()
        self._sizes, self._normalize = sizes, normalize

    def map_norm(self) -> nn.Module:
        """Return a new normalization for the output of one of the two matrices."""
        parts = [self._normalize(size) for size in self._sizes]
        if all(isinstance(part, nn.Identity) for part in parts):
            return nn.Identity()
        return parts[0] if len(parts) == 1 else Grouped(parts, self._sizes)


class LSTM(Gated):
    """c = f c + i g, h = o tanh(norm(c)) (Hochreiter & Schmidhuber 1997; Gers et al. 2000; Ba et al., eq. 20 to 22).

    Args:
        width: Number of units.
        normalize: Returns the normalization of a number of features.
    """

    states = 2

    def __init__(self, width: int, normalize: Normalize) -> None:
        super().__init__((4 * width,), normalize)
        self.normalization = normalize(width)

    def forward(self, from_input: Tensor, from_state: Tensor, state: State) -> tuple[State, State]:
        """Map the two parts of z [n, 4 width] and (h, c) to (z,) and (h, c)."""
        z = from_input + from_state
        i, f, g, o = z.chunk(4, 1)
        c = torch.addcmul(f.sigmoid() * state[1], i.sigmoid(), g.tanh())
        return (z,), (o.sigmoid() * self.normalization(c).tanh(), c)


class GRU(Gated):
    """h = (1 - u) n + u h, n = tanh(W x + r (U h)) (Cho et al. 2014, with torch's sign of u; Ba et al., eq. 29 to 31).

    Args:
        width: Number of units.
        normalize: Returns the normalization of a number of features.
    """

    def __init__(self, width: int, normalize: Normalize) -> None:
        super().__init__((2 * width, width), normalize)

    def forward(self, from_input: Tensor, from_state: Tensor, state: State) -> tuple[State, State]:
        """Map the two parts of z [n, 3 width] and (h,) to z of both gates and of the candidate, and (h,)."""
        (h,) = state
        input_gates, input_candidate = from_input.split(self._sizes, 1)
        state_gates, state_candidate = from_state.split(self._sizes, 1)
        gates = input_gates + state_gates
        r, u = gates.sigmoid().chunk(2, 1)
        # torch applies r after the recurrent matrix and its bias, Cho et al. before it
        candidate = torch.addcmul(input_candidate, r, state_candidate)
        n = candidate.tanh()
        return (gates, candidate), (n + u * (h - n),)  # not lerp: under autocast it refuses mixed dtypes


class Grouped(nn.Module):
    """Normalizes each group of features separately.

    Args:
        parts: The normalization of each group.
        sizes: Number of features in each group.
    """

    def __init__(self, parts: list[nn.Module], sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.parts, self._sizes = nn.ModuleList(parts), sizes

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized features, the shape of ``x`` [..., features]."""
        groups = zip(self.parts, x.split(self._sizes, -1), strict=True)
        return torch.cat([part(group) for part, group in groups], -1)
