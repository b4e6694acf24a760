"""Prediction of a network's gradients at initialization, and comparison with the recorded ones."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gradlab.nn.network import Network
from gradlab.nn.recurrent_net import Recurrent
from gradlab.prediction.depth import critical_rows as depth_critical_rows
from gradlab.prediction.depth import predict_depth
from gradlab.prediction.reasons import NoPredictionError
from gradlab.prediction.time import predict_time
from gradlab.probe.columns import COLUMNS
from gradlab.probe.columns import TIMESTEPS as TIMES
from gradlab.theory.forecast import Forecast, compare

CRITICAL = ("q_star", "weight_variance", "bias_variance")  # columns of critical_line.csv
Row = Sequence[Any]


def predict(model: nn.Module, inputs: Tensor) -> Forecast | str:
    """Predict the gradients of a network at initialization from its weights and the size of its inputs.

    There is no forward pass, and the global random state is unchanged.

    Args:
        model: The network, initialized.
        inputs: Its first batch [n, ...].

    Returns:
        The prediction, or ``no prediction: REASON``.
    """
    with _isolated():
        try:
            match model:
                case Network():
                    return predict_depth(model, inputs)
                case Recurrent():
                    return predict_time(model, inputs)
                case _:
                    raise NoPredictionError(f"{type(model).__name__} is not covered; mlp, cnn, rnn, lstm and gru are")
        except NoPredictionError as reason:
            return f"no prediction: {reason}"


def critical_rows(model: nn.Module, inputs: Tensor) -> list[tuple[float, float, float]]:
    """Return `depth.critical_rows`, the critical line of a plain network, with the random state unchanged."""
    with _isolated():
        return depth_critical_rows(model, inputs)


@contextmanager
def _isolated() -> Iterator[None]:
    """Build no graph, use a fixed seed within the block, and restore the random state after it."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        # not torch.manual_seed, which would also reseed the devices, whose state fork_rng does not restore here
        torch.default_generator.manual_seed(0)
        yield


def peek(batches: Any) -> Tensor:
    """Return the inputs of the first batch without advancing the batches."""
    state = batches.state_dict()
    inputs, _ = next(batches)
    batches.load_state_dict(state)
    return inputs


def compare_rows(
    forecast: Forecast | str, rows: Sequence[Row], times: Sequence[Row], *, samples: int
) -> dict[str, Any] | str:
    """Return the content of run.json under ``theory``: prediction, measurement, tolerance and agreement.

    Args:
        forecast: Result of `predict`.
        rows: Rows of gradients.csv of the first recorded step; empty if nothing was recorded.
        times: Rows of timesteps.csv of that step.
        samples: Number of samples in the batch.
    """
    if isinstance(forecast, str):
        return forecast
    if forecast.over == "time":
        norm = TIMES.index(forecast.column)
        return compare(forecast, [row[norm] for row in times] if times else None)
    main = {row[1]: row for row in rows if row[COLUMNS.index("role")] == "main"}
    columns = [
        [main[place][COLUMNS.index(name)] if place in main else None for place in forecast.places]
        for name in (forecast.column, "preactivation_norm")
    ]
    return compare(forecast, columns[0] if rows else None, z_norms=columns[1], samples=samples)
