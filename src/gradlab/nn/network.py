"""Common base of MLP and CNN: a first layer, blocks, a head, and optional auxiliary heads."""

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
        blocks: The blocks that follow it.
        lengths: Number of weight layers in each block.
        features: Number of units or channels at the output of the stem and of each block.
        outputs: Number of classes, or of regression targets.
        bias: Whether the head has a bias.
        initializer: Rule that sets the heads' weights; its ``finish`` is called with the whole model.
        residual: Factory of the blocks; its ``finish`` is called with the whole model.
        auxiliary_every: Number of layers between auxiliary heads (deep supervision, `Auxiliary`); 0 for none.
        auxiliary_weight: Factor on the auxiliary heads' losses.
        further_block: Builds a block to append after the last one, given its index, its number of weight layers, the
            total number of blocks including it, and an initializer.
        block_depth: Number of weight layers in an appended block.
        signal: Draws example inputs of an appended block, [n, ...].
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
        further_block: Callable[[int, int, int, Initializer], nn.Module],
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
        # drawn after the main head, so that all other weights equal those of the net without auxiliary heads
        self.auxiliary = Auxiliary(
            dict(zip(self._ends[:-1], features, strict=False)),
            every=auxiliary_every,
            weight=auxiliary_weight,
            head=head,
        )
        self.head = main  # registered last, because clipping and optimizers take the last layer for the head
        self._further_block, self._signal = further_block, signal
        self._initializer, self._block_depth = initializer, block_depth
        self._finishers = [trait(rule, "finish", None) for rule in (initializer, residual)]

    def finish(self, batch: Tensor) -> None:
        """Run the ``finish`` of the initializer (LSUV) and of the residual (Fixup), if any, on inputs [n, …]."""
        for finisher in filter(None, self._finishers):
            finisher(self, batch)

    def points(self) -> Iterator[Point]:
        """Yield one point per weight layer: the main path in the order of the calls, then the auxiliary heads."""
        return network_points(self.stem, self.blocks, self.head, self.auxiliary)

    @property
    def depth(self) -> int:
        """Number of hidden weight layers on the main path."""
        return self._ends[-1]

    def grow(self, depth: int) -> None:
        """Append function-preserving blocks until the network has ``depth`` hidden layers.

        Random numbers are drawn from torch's global generator. Existing blocks keep their names and their weights.

        Args:
            depth: New number of hidden weight layers, larger than the present one.

        Raises:
            ValueError: If any such block would change the network's function.
        """
        like = next(self.head.parameters())
        lengths = block_lengths(depth - self.depth, self._block_depth)
        total = len(self.blocks) + len(lengths)
        for length in lengths:
            block = self.another_block(length=length, blocks=total)
            self.blocks.append(block.to(like.device, like.dtype).train(self.training))
            self._ends.append(self._ends[-1] + length)

    def another_block(self, *, length: int = 1, blocks: int = 1) -> nn.Module:
        """Return a function-preserving block to append after the last one.

        Args:
            length: Number of weight layers in it.
            blocks: Total number of blocks after growing.

        Raises:
            ValueError: If any such block would change the network's function.
        """
        build = partial(self._further_block, len(self.blocks), length, max(blocks, len(self.blocks) + 1))
        return identity_block(build, initializer=self._initializer, signal=self._signal())

    def summary(self, x: Tensor) -> Tensor:
        """Return a head's input [n, features], given a block's output."""
        return x

    def forward(self, x: Tensor) -> Tensor | Supervised:
        """Map inputs to logits or values [n, outputs]; in training also those of auxiliary heads."""
        x, signals = walk(self.stem, self.blocks, self.auxiliary, x, ends=self._ends)
        summaries = {name: self.summary(signal) for name, signal in signals.items()}
        return self.auxiliary.supervise(self.head(self.summary(x)), summaries)
