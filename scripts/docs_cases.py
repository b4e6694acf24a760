"""Examples of the verdict pages of the documentation, which `docs_figures.py` runs.

A command that starts with ``python`` runs a script, whose text is on the page in a block after the line
``<!-- file: NAME -->``. All others are overrides of ``gradlab``.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Case:
    """Example run of one verdict.

    Attributes:
        command: Overrides of ``gradlab``, or a call of a script of the page.
        figure: The figure that shows the verdict.
        best: Number of remedies to try, from the most promising on.
        also: Further sets of overrides to try, each in the form of a command line.
        repaired: Call of the script without its fault; empty for overrides.
    """

    command: str
    figure: str = "gradient_flow"
    best: int = 3
    also: tuple[str, ...] = ()
    repaired: str = ""


_SIGMOID = "activation=sigmoid initializer=xavier_normal"
_FLAT = "activation=tanh initializer=mean_field initializer.weight_variance"

CASES = {
    "healthy": Case(command="model.depth=20 train.steps=300"),
    "shallow": Case(command="model.depth=1 train.steps=300", figure="loss"),
    "vanishing": Case(command=f"{_SIGMOID} model.depth=20", also=("normalization=batch_norm", "optimizer=adam")),
    "exploding": Case(command=f"{_FLAT}=4 model.depth=50 train.steps=200", also=("clipping=norm",)),
    "zero": Case(command="python masked.py", repaired="python masked.py repaired"),
    "not_finite": Case(command="python hole.py", repaired="python hole.py repaired"),
    "poor_initialization": Case(
        command="initializer=xavier_normal model.depth=30",
        also=("initializer=kaiming_normal clipping=norm", "optimizer=adam"),
    ),
    "batch_norm_explosion": Case(command="normalization=batch_norm model.depth=60 model.width=64 train.steps=200"),
    "exploding_activations": Case(
        command="residual=identity model.depth=60 train.steps=100",
        also=("normalization=batch_norm", "residual=scaled", "residual=rezero"),
    ),
    "dead_units": Case(command="train.batch_size=2 model.depth=12", also=("optimizer.lr=0.002",)),
    "saturation": Case(command=f"{_FLAT}=200 model.depth=8 train.steps=100", figure="gradient_flow"),
    "short_memory": Case(
        command="model=rnn data=adding data.length=60 optimizer.lr=0.003",
        figure="timestep_flow",
        also=("clipping=none",),
    ),
    "underflow": Case(
        command="activation=sigmoid model.depth=100 train.steps=50", best=2, also=("train.dtype=float64",)
    ),
    "overflow": Case(
        command="residual=identity model.depth=250 train=init", also=("normalization=batch_norm", "residual=scaled")
    ),
    "learning_rate_too_high": Case(command="optimizer.lr=0.2 model.depth=5 train.steps=200", figure="loss"),
    "learning_rate_too_low": Case(command="optimizer.lr=1e-6 model.depth=5", figure="update_ratio"),
    "clipping_always_active": Case(
        command="clipping=norm clipping.max_norm=1e-4 model.depth=5",
        figure="update_ratio",
        also=("clipping.max_norm=1",),
    ),
    "update_too_small": Case(command=f"{_SIGMOID} model.depth=4 train.steps=150", figure="update_ratio"),
    "update_too_large": Case(command="model=gru optimizer.lr=0.3 train.steps=150", figure="update_ratio"),
    "oscillating_loss": Case(
        command="activation=tanh initializer=xavier_normal model.depth=3 train.batch_size=4 optimizer.lr=0.1 "
        "train.steps=300",
        figure="loss",
        also=("train.batch_size=16",),
    ),
    "diverged": Case(command="optimizer.lr=5 model.depth=5 train.steps=100", figure="loss", also=("clipping=norm",)),
    "loss_not_falling": Case(command="data=gaussian model.depth=3 train.steps=150", figure="loss"),
}
