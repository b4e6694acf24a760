"""Deep supervision: heads at intermediate depths that put a loss near the early layers."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from gradlab.interfaces import Supervised


class Auxiliary(nn.ModuleDict):
    """Linear heads on layers of the main path, used in training only and named by the layer's depth_index.

    Sources: Lee et al. 2015, "Deeply-supervised nets"; Szegedy et al. 2015 (GoogLeNet, weight 0.3).

    Args:
        features: Number of units or channels at each depth that can have a head, by depth_index, ascending.
        every: Spacing of the heads: the first such depth at or after each multiple of it has one; 0 for none.
        weight: Factor on the heads' losses.
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
        previous = dict(zip(depths, [0, *depths], strict=False))
        chosen = [depth for depth in depths if every and depth // every > previous[depth] // every]
        super().__init__({str(depth): head(features[depth]) for depth in chosen})
        self.weight = weight

    def supervise(self, outputs: Tensor, signals: Mapping[str, Tensor]) -> Tensor | Supervised:
        """Return the model's outputs, together with the auxiliary heads' outputs if there are any.

        Args:
            outputs: Outputs of the model's own head, [n, k].
            signals: Input of each auxiliary head, [n, features], by the head's name.
        """
        auxiliary = {name: self[name](signal) for name, signal in signals.items()}
        return Supervised(outputs, auxiliary, self.weight) if auxiliary else outputs


def walk(
    stem: nn.Module, blocks: nn.Sequential, auxiliary: Auxiliary, x: Tensor, *, ends: list[int]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run a stem and its blocks, and keep the inputs of the auxiliary heads.

    Args:
        stem: The first layer.
        blocks: The blocks that follow it.
        auxiliary: The auxiliary heads; ignored outside training.
        x: Inputs.
        ends: depth_index of the stem and of each block's last layer.

    Returns:
        The last block's output, and the input of each auxiliary head by the head's name.
    """
    signals = {}
    for depth, block in zip(ends, [stem, *blocks], strict=True):
        x = block(x)
        if auxiliary.training and str(depth) in auxiliary:
            signals[str(depth)] = x
    return x, signals
