"""From where on a recorded figure counts as a fault."""

from dataclasses import dataclass, fields

_SHARES = (
    "vanishing_ratio", "learned_share", "falling_share", "dead_share", "saturated_share", "clipped_share",
    "clipped_to", "loss_swing",
)  # fmt: skip
_FACTORS = ("exploding_ratio", "signal_ratio", "growth_in_training", "batch_norm_growth", "first_loss", "loss_jump")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Limits of all rules; each one's reason stands in configs/diagnosis/default.yaml.

    Attributes:
        vanishing_ratio: First over last hidden layer's gradient norm below which it vanishes; of time steps likewise.
        exploding_ratio: The same ratio above which it explodes.
        learned_share: A run has learned whose last losses lie below this share of the loss by chance.
        falling_share: And its loss does not fall at all above this share.
        history: Recorded losses that it takes to judge the course of training.
        signal_ratio: Last over first hidden layer's z, or one over it, from which on the initial weights are at fault.
        growth_in_training: A layer's z over the largest of the untrained net from which on activations explode.
        output_std: Standard deviation of the untrained net's answers that is too large,
        first_loss: where its loss is also this many times that of chance.
        batch_norm_growth: Growth of the gradient per layer that is batch norm's own doing.
        dead_share: Share of a layer's units that are dead.
        saturated_share: Share of a layer's entries where a bounded activation is flat.
        update_small: Sum of a layer's update ratios over a run below which it has not moved.
        update_usual: Update ratio of the median layer in a sound step, above which no clipping holds it back.
        update_large: Update ratio of the median layer above which a step is too large.
        loss_jump: Rise of the loss over its first value that a too high rate makes.
        clipped_share: Share of the recorded steps that are clipped,
        clipped_to: where the median step keeps less than this share of its gradient's norm.
        loss_swing: Change between neighbouring recorded losses, over their median, of an oscillating loss.

    Raises:
        ValueError: If a share lies outside of (0, 1), a factor is not above 1, or another limit is not positive.
    """

    vanishing_ratio: float = 0.01
    exploding_ratio: float = 100.0
    learned_share: float = 0.5
    falling_share: float = 0.9
    history: int = 5
    signal_ratio: float = 100.0
    growth_in_training: float = 100.0
    output_std: float = 100.0
    first_loss: float = 10.0
    batch_norm_growth: float = 1.1
    dead_share: float = 0.9
    saturated_share: float = 0.5
    update_small: float = 0.02
    update_usual: float = 0.001
    update_large: float = 0.1
    loss_jump: float = 3.0
    clipped_share: float = 0.9
    clipped_to: float = 0.1
    loss_swing: float = 0.5

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in _SHARES and not 0 < value < 1:
                raise ValueError(f"{item.name} must lie between 0 and 1, got {value}")
            if item.name in _FACTORS and not value > 1:
                raise ValueError(f"{item.name} must be above 1, got {value}")
            if not value > 0:
                raise ValueError(f"{item.name} must be positive, got {value}")
        if not self.learned_share < self.falling_share:
            raise ValueError(f"learned_share must be below falling_share, got {self.learned_share}")
