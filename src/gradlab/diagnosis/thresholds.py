"""Thresholds beyond which a recorded figure counts as a fault."""

from dataclasses import dataclass, fields

_SHARES = (
    "vanishing_ratio", "learned_share", "falling_share", "dead_share", "saturated_share", "clipped_share",
    "clipped_to", "loss_swing",
)  # fmt: skip
_FACTORS = ("exploding_ratio", "signal_ratio", "growth_in_training", "batch_norm_growth", "first_loss", "loss_jump")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Limits of all rules; configs/diagnosis/default.yaml gives the reason for each.

    Attributes:
        vanishing_ratio: Gradients vanish if the first hidden layer's norm over the last's is below this, and likewise
            for the first and last time step.
        exploding_ratio: Gradients explode if that ratio is above this.
        learned_share: A run has learned if its last losses are below this share of the loss by chance.
        falling_share: The loss does not fall if the last losses are above this share of the loss by chance.
        history: Number of recorded losses needed to judge the course of training.
        signal_ratio: Initial weights are at fault if the last hidden layer's z over the first's, or the inverse,
            exceeds this.
        growth_in_training: Activations explode if a layer's z over the largest of the untrained net exceeds this.
        output_std: Outputs of the untrained net are too large if their standard deviation is at least this and the
            first loss is above ``first_loss``.
        first_loss: Smallest first loss, over that by chance, at which large outputs of the untrained net are a fault.
        batch_norm_growth: Growth of the gradient per layer from which on batch norm is the cause.
        dead_share: A layer is dead if at least this share of its units is.
        saturated_share: A layer is saturated if its bounded activation is flat for more than this share of entries.
        update_small: A layer has not moved if the sum of its update ratios over a run is below this.
        update_usual: Clipping does no harm if the median update ratio of the median layer is at least this.
        update_large: A step is too large if the update ratio of the median layer is above this.
        loss_jump: The learning rate is too high if the loss rises above this many times its first value.
        clipped_share: Clipping is always active if at least this share of the recorded steps is clipped, to the degree
            of ``clipped_to``.
        clipped_to: Largest share of the gradient's norm left by the median clipped step that counts as harmful.
        loss_swing: The loss oscillates if the median change between recorded losses, over their median, is at least
            this.

    Raises:
        ValueError: If a share is not in (0, 1), a factor is not above 1, or another limit is not positive.
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
