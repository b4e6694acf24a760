"""Deep supervision: heads at intermediate depths that put a loss near the early layers."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from gradlab.interfaces import Supervised


class Auxiliary(nn.ModuleDict):
    """Linear heads behind layers of the main path, in training only, named after the depth_index of the layer.

    Sources: Lee et al. 2015, "Deeply-supervised nets"; Szegedy et al. 2015 (GoogLeNet, weight 0.3).

    Args:
        features: Number of units or channels at each depth where a head may stand, by depth_index, rising.
        every: A head stands at the first of these depths at or after each multiple of this; 0 for none.
        weight: Factor on their losses.
        head: Builds a head for a number of features.

    Raises:
        ValueError: If ``every`` is negative or ``weight`` not positive.
    """

    def __init__(
        self, features: Mapping[int, int], *, every: int, weight: float, head: Callable[[int], nn.Module]
    ) -> None:
        if every < 0:
            raise ValueError(f"auxiliary_every must be at least 0, got {every}")
        if not weight > 0:
            raise ValueError(f"auxiliary_weight must be positive, got {weight}")
        depths = list(features)
        before = dict(zip(depths, [0, *depths], strict=False))
        chosen = [depth for depth in depths if every and depth // every > before[depth] // every]
        super().__init__({str(depth): head(features[depth]) for depth in chosen})
        self.weight = weight

    def supervise(self, outputs: Tensor, signals: Mapping[str, Tensor]) -> Tensor | Supervised:
        """Return the model's outputs, with those of the heads where there are any.

        Args:
            outputs: What the model's own head said, [n, k].
            signals: What each head looks at, [n, features], by its name.
        """
        auxiliary = {name: self[name](signal) for name, signal in signals.items()}
        return Supervised(outputs, auxiliary, self.weight) if auxiliary else outputs


def walk(
    stem: nn.Module, blocks: nn.Sequential, auxiliary: Auxiliary, x: Tensor, *, ends: list[int]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run a stem and its blocks, and keep the signals that auxiliary heads look at.

    Args:
        stem: The first layer.
        blocks: The blocks behind it.
        auxiliary: The heads; outside training they are not asked.
        x: Inputs.
        ends: depth_index of the stem and of each block's last layer.

    Returns:
        The last block's output, and the signal of each head by its name.
    """
    signals = {}
    for depth, block in zip(ends, [stem, *blocks], strict=True):
        x = block(x)
        if auxiliary.training and str(depth) in auxiliary:
            signals[str(depth)] = x
    return x, signals
