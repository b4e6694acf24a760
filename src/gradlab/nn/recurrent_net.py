"""A stack of recurrent layers of any kind, with a head."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from torch import Tensor, nn

from gradlab.interfaces import Point, Unrolled
from gradlab.nn.cells import Normalize
from gradlab.nn.layers import Initializer, Normalization, Residual, require_positive, trait
from gradlab.nn.recurrent import RecurrentLayer, unrolled

MakeLayer = Callable[[int, Normalize], RecurrentLayer]
_IN_A_CELL = (nn.Identity, nn.LayerNorm, nn.RMSNorm)


class Recurrent(nn.Module):
    """Stacked recurrent layers and a linear head on the last time step or on every one.

    The first layer and the head are outside the residual blocks, which hold one layer each. Images are read row by
    row, plain vectors number by number.

    Args:
        input_shape: Shape of one input: [T, features], [channels, rows, columns] or [T].
        outputs: Number of classes, or of values to predict.
        each_step: Whether the head is applied at every time step, not only at the last.
        depth: Number of recurrent layers.
        width: Number of units in each layer.
        make: Returns a layer, given its number of inputs and a factory of the cell's normalizations.
        initializer: Rule that sets the head.
        normalization: Factory of the normalization within a cell.
        residual: Factory of the residual blocks.
        bias: Whether the head has a bias.

    Raises:
        ValueError: If a size is below 1, the inputs are not sequences, or a part does not work with recurrent layers.
    """

    def __init__(
        self,
        *,
        input_shape: tuple[int, ...],
        outputs: int,
        each_step: bool,
        depth: int,
        width: int,
        make: MakeLayer,
        initializer: Initializer,
        normalization: Normalization,
        residual: Residual,
        bias: bool,
    ) -> None:
        super().__init__()
        require_positive(depth=depth, width=width)
        if trait(residual, "opens_layers", False):
            raise ValueError(
                "residual changes Linear and Conv layers; between recurrent layers use none, identity, "
                "pre_activation, scaled, rezero, skip_init or stochastic_depth"
            )
        _, features = sequence_shape(input_shape)
        normalize = partial(_normalize, normalization)
        self.stem = make(features, normalize)
        branches = [nn.Sequential(make(width, normalize)) for _ in range(depth - 1)]
        self.blocks = nn.Sequential(
            *(residual(branch, nn.Identity(), i, depth - 1) for i, branch in enumerate(branches))
        )
        self.head = nn.Linear(width, outputs, bias=bias)
        initializer(self.head, activation=nn.Identity())
        self.each_step = each_step
        self._finisher = trait(residual, "finish", None)

    def finish(self, batch: Tensor) -> None:
        """Run the residual's ``finish``, if it has one, on inputs [n, *input_shape]."""
        if self._finisher is not None:
            self._finisher(self, batch)

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, *input_shape] to logits or values [n, outputs] or, with ``each_step``, [n, outputs, T]."""
        hidden = self.blocks(self.stem(as_sequence(x)))
        return self.head(hidden).movedim(1, 2) if self.each_step else self.head(hidden[:, -1])

    def unrolled(self) -> AbstractContextManager[list[Unrolled]]:
        """Return a context manager in which forward passes are unrolled and recorded; see `recurrent.unrolled`."""
        return unrolled(self)

    def points(self) -> Iterator[Point]:
        """Yield one point per matrix of each layer, then one for the head."""
        yield from _layer_points(self.stem, 1, block=None)
        for depth_index, block in enumerate(self.blocks, start=2):
            branch: Any = getattr(block, "branch", block)
            yield from _layer_points(branch[0], depth_index, block=None if branch is block else block)
        yield Point(depth_index=len(self.blocks) + 2, affine=self.head, output=self.head)


def sequence_shape(input_shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (time steps, features) of inputs read as a sequence: images row by row, vectors number by number.

    Args:
        input_shape: [T, features], [channels, rows, columns] or [T].

    Raises:
        ValueError: If the shape has another number of dimensions.
    """
    if len(input_shape) == 1:
        return input_shape[0], 1
    if len(input_shape) == 2:
        return input_shape[0], input_shape[1]
    if len(input_shape) == 3:
        return input_shape[1], input_shape[0] * input_shape[2]
    raise ValueError(f"a recurrent net needs sequences, vectors or images; this data set's inputs are {input_shape}")


def as_sequence(x: Tensor) -> Tensor:
    """Return inputs [n, *input_shape] as sequences [n, T, features], with T and features as in `sequence_shape`."""
    if x.dim() == 2:
        return x.unsqueeze(2)
    return x if x.dim() == 3 else x.transpose(1, 2).flatten(2)


def _normalize(normalization: Normalization, features: int) -> nn.Module:
    """Return a cell's normalization of [..., features], which must work on one time step of one sample."""
    affine, module = normalization(nn.Linear(1, features), features)
    if nn.utils.parametrize.is_parametrized(affine) or not isinstance(module, _IN_A_CELL):
        raise ValueError("normalization in a recurrent cell must be none, layer_norm or rms_norm")
    return module


def _layer_points(layer: RecurrentLayer, depth_index: int, *, block: Any) -> Iterator[Point]:
    """Yield the points of both matrices of a layer; h is the output of the layer's residual block, if it has one."""
    for role, matrix in (("main", layer.input), ("recurrent", layer.recurrent)):
        yield Point(
            depth_index=depth_index,
            role=role,
            affine=matrix,
            output=block or matrix,
            fork=block.fork if block and role == "main" else None,
        )
