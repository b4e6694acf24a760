"""What MLP and CNN have in common: a first layer, blocks, a head, and heads of deep supervision beside them."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate

from torch import Tensor, nn

from gradlab.interfaces import Point, Supervised
from gradlab.nn.auxiliary import Auxiliary, walk
from gradlab.nn.blocks import network_points
from gradlab.nn.growth import identity_block
from gradlab.nn.layers import Initializer, Residual, block_lengths, trait


class Network(nn.Module):
    """A first layer, blocks of layers, and a linear head.

    Args:
        stem: The first layer.
        blocks: The blocks behind it.
        lengths: Number of weight layers in each block.
        features: Number of units or channels behind the stem and behind each block.
        outputs: Number of classes, or of regression targets.
        bias: Whether the head has a bias.
        initializer: Rule that sets the heads' weights; its ``finish`` sees the whole model.
        residual: Factory that made the blocks; its ``finish`` sees the whole model.
        auxiliary_every: Number of layers between auxiliary heads (deep supervision, `Auxiliary`); 0 for none.
        auxiliary_weight: Factor on their losses.
        another: Builds a block to stand behind the last, given its number, its length, the number of blocks there are
            with it, and an initializer.
        block_depth: Number of weight layers in such a block.
        signal: Draws a batch of what may stand before it, [n, ...].
    """

    def __init__(
        self,
        *,
        stem: nn.Sequential,
        blocks: Sequence[nn.Module],
        lengths: Sequence[int],
        features: Sequence[int],
        outputs: int,
        bias: bool,
        initializer: Initializer,
        residual: Residual,
        auxiliary_every: int,
        auxiliary_weight: float,
        another: Callable[[int, int, int, Initializer], nn.Module],
        block_depth: int,
        signal: Callable[[], Tensor],
    ) -> None:
        super().__init__()

        def head(width: int) -> nn.Linear:
            linear = nn.Linear(width, outputs, bias=bias)
            initializer(linear, activation=nn.Identity())
            return linear

        self.stem = stem
        self.blocks = nn.Sequential(*blocks)
        self._ends = list(accumulate(lengths, initial=1))
        main = head(features[-1])
        # drawn after it, so that the other weights are those of the same net without them
        self.auxiliary = Auxiliary(
            dict(zip(self._ends[:-1], features, strict=False)),
            every=auxiliary_every,
            weight=auxiliary_weight,
            head=head,
        )
        self.head = main  # registered last: clipping and optimizers know the last layer by that
        self._another, self._signal, self._initializer, self._block_depth = another, signal, initializer, block_depth
        self._finishers = [trait(rule, "finish", None) for rule in (initializer, residual)]

    def finish(self, batch: Tensor) -> None:
        """Let the initializer and the residual end their work on the whole model (LSUV, Fixup), given inputs [n, …]."""
        for finisher in filter(None, self._finishers):
            finisher(self, batch)

    def points(self) -> Iterator[Point]:
        """Yield the weight layers, in the order in which they are called, as places to measure."""
        return network_points(self.stem, self.blocks, self.head, self.auxiliary)

    @property
    def depth(self) -> int:
        """Number of hidden weight layers on the main path."""
        return self._ends[-1]

    def grow(self, depth: int) -> None:
        """Put blocks behind the last one, up to ``depth`` hidden layers, that leave the function as it is.

        Random numbers are drawn from torch's global generator; the other blocks keep their names and their weights.

        Args:
            depth: Number of hidden weight layers to reach, more than there are.

        Raises:
            ValueError: No such block would leave the function as it is.
        """
        like = next(self.head.parameters())
        lengths = block_lengths(depth - self.depth, self._block_depth)
        total = len(self.blocks) + len(lengths)
        for length in lengths:
            block = self.another_block(length=length, blocks=total)
            self.blocks.append(block.to(like.device, like.dtype).train(self.training))
            self._ends.append(self._ends[-1] + length)

    def another_block(self, *, length: int = 1, blocks: int = 1) -> nn.Module:
        """Return a block to stand behind the last one, which leaves the function as it is.

        Args:
            length: Number of its weight layers.
            blocks: Number of blocks that there will be.

        Raises:
            ValueError: No such block would leave the function as it is.
        """
        build = partial(self._another, len(self.blocks), length, max(blocks, len(self.blocks) + 1))
        return identity_block(build, initializer=self._initializer, signal=self._signal())

    def summary(self, x: Tensor) -> Tensor:
        """Return what a head looks at, [n, features], of a block's output."""
        return x

    def forward(self, x: Tensor) -> Tensor | Supervised:
        """Map inputs to logits or values [n, outputs], in training those of auxiliary heads too."""
        x, signals = walk(self.stem, self.blocks, self.auxiliary, x, ends=self._ends)
        seen = {name: self.summary(signal) for name, signal in signals.items()}
        return self.auxiliary.supervise(self.head(self.summary(x)), seen)
