"""Normalizations: factories called as ``normalization(affine, features)`` that return (affine, module).

Weight normalization changes the affine map; all others normalize its output, [n, features, ...].
"""

from typing import Annotated, Any

from annotated_types import Ge, Gt, Le
from torch import Tensor, nn

Eps = Annotated[float, Gt(0)]
_BATCH_NORMS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: nn.BatchNorm1d,
    nn.Conv1d: nn.BatchNorm1d,
    nn.Conv2d: nn.BatchNorm2d,
}


def none(affine: nn.Module, features: int) -> tuple[nn.Module, nn.Module]:
    """Do not normalize."""
    return affine, nn.Identity()


def batch_norm(
    affine: nn.Module,
    features: int,
    *,
    eps: Eps = 1e-5,
    momentum: Annotated[float, Ge(0), Le(1)] = 0.1,
    learned: bool = True,
) -> tuple[nn.Module, nn.Module]:
    """Normalize each feature over the batch (Ioffe & Szegedy 2015)."""
    return affine, _BATCH_NORMS[type(affine)](features, eps=eps, momentum=momentum, affine=learned)


def layer_norm(
    affine: nn.Module, features: int, *, eps: Eps = 1e-5, learned: bool = True
) -> tuple[nn.Module, nn.Module]:
    """Normalize each sample over all its features and positions (Ba et al. 2016).

    For a map [n, features, ...] it is group normalization with one group; on [n, features] the two are equal.

    Raises:
        ValueError: If a sample has one number only, which normalized is always 0.
    """
    if features == 1 and isinstance(affine, nn.Linear):
        raise ValueError("normalization=layer_norm needs a width of at least 2: one number normalized is always 0")
    module = nn.LayerNorm(features, eps=eps, elementwise_affine=learned)
    return affine, module if isinstance(affine, nn.Linear) else nn.GroupNorm(1, features, eps=eps, affine=learned)


def group_norm(
    affine: nn.Module, features: int, *, groups: Annotated[int, Ge(1)] = 8, eps: Eps = 1e-5, learned: bool = True
) -> tuple[nn.Module, nn.Module]:
    """Normalize each sample over groups of its features (Wu & He 2018).

    Raises:
        ValueError: If ``groups`` does not divide ``features``, or a group has one number only, which normalized is
            always 0.
    """
    if features % groups:
        raise ValueError(f"groups={groups} must divide the number of features, {features}")
    if features == groups and isinstance(affine, nn.Linear):
        raise ValueError(
            f"normalization.groups={groups} of {features} features hold one number each, which normalized is always 0; "
            "use fewer groups"
        )
    return affine, nn.GroupNorm(groups, features, eps=eps, affine=learned)


def rms_norm(affine: nn.Module, features: int, *, eps: Eps = 1e-5, learned: bool = True) -> tuple[nn.Module, nn.Module]:
    """Divide each sample by the root mean square of its features, at every position (Zhang & Sennrich 2019)."""
    module = nn.RMSNorm(features, eps=eps, elementwise_affine=learned)
    return affine, module if isinstance(affine, nn.Linear) else ChannelsLast(module)


def weight_norm(affine: nn.Module, features: int) -> tuple[nn.Module, nn.Module]:
    """Learn the length and the direction of each unit's weights separately: w = g v / |v| (Salimans & Kingma 2016).

    Raises:
        ValueError: If the weights of a unit are all 0 and so have no direction.
    """
    weight: Any = affine.weight
    if not weight.detach().flatten(1).norm(dim=1).all():
        raise ValueError("weight_norm needs a nonzero weight in every unit; this initializer sets a whole row to 0")
    return nn.utils.parametrizations.weight_norm(affine), nn.Identity()


def check_single_pixels(model: nn.Module) -> None:
    """Refuse a network over images of one pixel that normalizes single numbers, which gives 0 whatever the input.

    Raises:
        ValueError: If the groups of a `group_norm` or `layer_norm` have one channel each.
    """
    for module in model.modules():
        if isinstance(module, nn.GroupNorm) and module.num_groups == module.num_channels:
            raise ValueError(
                f"normalization over {module.num_groups} groups of {module.num_channels} channels of one pixel sees "
                "single numbers, which normalized are always 0; use larger images or fewer groups"
            )


class ChannelsLast(nn.Module):
    """Applies a module that works on the last dimension to maps [n, features, ...]."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """Return the module's output, the shape of ``x``."""
        return self.module(x.movedim(1, -1)).movedim(-1, 1)
