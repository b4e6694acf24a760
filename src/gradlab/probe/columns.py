"""The columns of the tables that the probe fills, in order."""

KEYS = ("step", "depth_index", "layer", "role")

DEFAULT = (
    "preactivation_norm",
    "preactivation_std",
    "activation_mean",
    "activation_std",
    "activation_norm",
    "preactivation_grad_norm",
    "activation_grad_norm",
    "weight_norm",
    "weight_grad_norm",
    "update_norm",
    "update_ratio",
)

FULL = (
    "clipped_weight_grad_norm",
    "weight_grad_cosine",
    "activation_slope_rms",
    "saturated_fraction",
    "dead_fraction",
    "skip_grad_norm",
    "grad_log10_p5",
    "grad_log10_p50",
    "grad_log10_p95",
)

FIGURES = DEFAULT + FULL
# Figures of a matrix. A layer's second matrix has its own; all other figures are the layer's.
MATRIX_FIGURES = (
    "weight_norm",
    "weight_grad_norm",
    "update_norm",
    "update_ratio",
    "clipped_weight_grad_norm",
    "weight_grad_cosine",
    "skip_grad_norm",
)
COLUMNS = KEYS + FIGURES
# The columns of neighbours.csv: cosine between dL/dz of samples `lag` places apart in the batch.
NEIGHBOURS = ("step", "depth_index", "layer", "lag", "grad_cosine")
# The columns of timesteps.csv; the last two for layers with a cell state only.
TIMESTEP_KEYS = ("step", "depth_index", "layer", "time")
HIDDEN = ("hidden_norm", "hidden_grad_norm")
CELL = ("cell_norm", "cell_grad_norm")
TIMESTEPS = TIMESTEP_KEYS + HIDDEN + CELL
# The columns of auxiliary.csv.
SHARES = ("step", "head", "loss", "depth_index", "layer", "grad_norm", "grad_cosine")
QUANTILES = (0.05, 0.50, 0.95)
SATURATED = 0.01  # an entry is saturated where the slope is at most this share of the activation's steepest

# Position of each figure in the list of a layer's figures of one step. The last three serve pooling and have no column.
SLOT = {
    name: position
    for position, name in enumerate((*FIGURES, "preactivation_mean", "preactivation_entries", "activation_entries"))
}
EMPTY = (*(None for _ in range(len(SLOT) - 2)), 0, 0)
