"""Counts of a run's history."""

import pytest

from gradlab.probe.recording import Recording
from gradlab.run.history import History


@pytest.mark.parametrize(
    ("metrics", "clipped"),
    [
        ({"grad_norm": 2.0, "clipped_grad_norm": 1.0}, 1),
        ({"grad_norm": 2.0, "clipped_grad_norm": 2.0}, 0),
        ({"grad_norm": 0.0, "clipped_grad_norm": 0.0}, 0),
        ({"eval_loss": 1.0}, 0),
    ],
)
def test_a_step_is_clipped_where_the_norm_became_smaller(tmp_path, metrics, clipped):
    history = History(tmp_path)
    for _ in range(3):
        history.add(metrics, Recording())
    history.close()
    assert (history.recorded_steps, history.clipped_steps) == (3, 3 * clipped)
