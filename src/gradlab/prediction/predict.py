"""From a network as it was built to the plain numbers that theory works on, and theory beside what was measured."""

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
    """Predict the gradient's way through a network at initialization, from its weights and the size of its inputs.

    Nothing is passed through the network, and no random number is used up.

    Args:
        model: The network, initialized.
        inputs: Its first batch [n, ...].

    Returns:
        The prediction, or ``no prediction: …`` and why.
    """
    with _unnoticed():
        try:
            match model:
                case Network():
                    return predict_depth(model, inputs)
                case Recurrent():
                    return predict_time(model, inputs)
                case _:
                    raise NoPredictionError(f"theory knows mlp, cnn, rnn, lstm and gru, not a {type(model).__name__}")
        except NoPredictionError as reason:
            return f"no prediction: {reason}"


def critical_rows(model: nn.Module, inputs: Tensor) -> list[tuple[float, float, float]]:
    """Return the critical line of a plain network's activation (`depth.critical_rows`), using up no random number."""
    with _unnoticed():
        return depth_critical_rows(model, inputs)


@contextmanager
def _unnoticed() -> Iterator[None]:
    """Build no graph, and draw random numbers that are the same each time and are missed by nobody."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(0)  # and no device's: that would be missed
        yield


def peek(batches: Any) -> Tensor:
    """Return the inputs of the first batch, and leave the batches as they are."""
    state = batches.state_dict()
    inputs, _ = next(batches)
    batches.load_state_dict(state)
    return inputs


def compare_rows(
    forecast: Forecast | str, rows: Sequence[Row], times: Sequence[Row], *, samples: int
) -> dict[str, Any] | str:
    """Return what run.json says under ``theory``: prediction, measurement, tolerance and agreement.

    Args:
        forecast: What `predict` returned.
        rows: The first recorded rows of gradients.csv; none where nothing was recorded.
        times: The same of timesteps.csv.
        samples: Number of samples that they are over.
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
