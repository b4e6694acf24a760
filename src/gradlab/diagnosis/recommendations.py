"""The remedies for each verdict, by their names in the catalogue."""

_GATES = ("gru", "lstm", "chrono", "recurrent_orthogonal", "irnn")
_STARTS = ("he", "critical", "orthogonal", "delta_orthogonal", "xavier")

# Names of the remedies for each verdict, the most promising first.
ANSWERS = {
    "vanishing": (
        *_GATES, "he", "relu", "pre_activation", "identity", "critical", "orthogonal", "delta_orthogonal",
        "batch_norm", "layer_norm", "leaky_relu", "elu", "selu", "tanh", "xavier", "deep_supervision", "shallower",
        "adam",
    ),
    "exploding": (
        "recurrent_orthogonal", *_STARTS, "layer_norm", "clip_norm", "clip_value", "gru", "lstm", "pre_activation",
        "lower_rate",
    ),
    "exploding_activations": (*_STARTS, "recurrent_orthogonal", "layer_norm", "batch_norm", "lower_rate"),
    "not_finite": ("range_test", "lower_rate", "clip_norm", "layer_norm", "warmup", "bf16", "float64"),
    "diverged": ("range_test", "lower_rate", "clip_norm", "warmup", "layer_norm", "adam"),
    "zero": ("he", "leaky_relu", "elu", "batch_norm", "layer_norm", "lower_rate", "float64"),
    "dead_units": ("leaky_relu", "elu", "gelu", "he", "lower_rate", "batch_norm", "clip_norm", "warmup"),
    "saturation": (
        "relu", "xavier", "layer_norm", "batch_norm", "standardize", "critical", "lower_rate", "gru", "lstm",
    ),
    "poor_initialization": (*_STARTS, "recurrent_orthogonal", "batch_norm", "layer_norm", "pre_activation"),
    "update_too_small": ("range_test", "higher_rate", "adam", "rmsprop", "adagrad"),
    "update_too_large": ("range_test", "lower_rate", "clip_norm", "warmup"),
    "underflow": ("float64", "relu", "he", "pre_activation", "batch_norm", "critical", "orthogonal", "shallower"),
    "overflow": ("bf16", "lower_rate", "clip_norm", "layer_norm", *_STARTS, "float64"),
    "oscillating_loss": ("lower_rate", "decay", "warmup", "larger_batch", "clip_norm"),
    "loss_not_falling": ("range_test", "higher_rate", "adam", "standardize", "longer"),
    "clipping_always_active": ("wider_clipping", "lower_rate"),
    "learning_rate_too_low": ("range_test", "higher_rate", "adam"),
    "learning_rate_too_high": ("range_test", "lower_rate", "decay", "warmup"),
    "short_memory": (*_GATES, "layer_norm"),
    "batch_norm_explosion": ("pre_activation", "identity", "layer_norm", "no_normalization"),
}  # fmt: skip
