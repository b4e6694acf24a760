"""The event files, opened with TensorBoard's own reader."""

import pytest
from tests.support.running import Run, compose_config

from gradlab.run.execute import execute

pytest.importorskip("tensorboard")
from gradlab.loggers.tensorboard import TensorBoard

SMALL = ("model.depth=3", "model.width=16", "train.steps=30", "train.eval_every=10")


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    return events.Reload()


def scalars(events, tag):
    return {event.step: event.value for event in events.Scalars(tag)}


def test_event_files_hold_the_numbers_of_the_tables(run):
    done = run(*SMALL, "logger=tensorboard", "figures=true")
    events = read(done.folder / "tensorboard")
    for name in done.metrics.columns.drop("step"):
        column = done.metrics.set_index("step")[name].dropna()
        assert scalars(events, name) == pytest.approx(column.to_dict(), rel=1e-6)
    for (depth, layer), rows in done.gradients.groupby(["depth_index", "layer"]):
        for figure, column in (("gradient_norm", "preactivation_grad_norm"), ("update_ratio", "update_ratio")):
            found = scalars(events, f"{figure}/{depth:02d}_{layer}")
            assert found == pytest.approx(rows.set_index("step")[column].to_dict(), rel=1e-6)
    images = events.Tags()["images"]
    assert {"figures/gradient_flow", "figures/loss"} <= set(images)
    assert events.Images("figures/loss")[0].width > 1000
    texts = {tag: events.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in events.Tags()["tensors"]}
    assert "| model.depth | 3 |" in texts["config/text_summary"]
    assert "gradients are healthy" in texts["findings/text_summary"]
    assert scalars(events, "final/gradient_ratio_initial")[30] > 0
    assert "_hparams_/session_start_info" in events.summary_metadata
    plain = run(*SMALL)
    for name in ("gradients.csv", "metrics.csv"):
        assert (done.folder / name).read_bytes() == (plain.folder / name).read_bytes()


def test_a_run_that_is_cut_off_and_resumed_is_whole(run, tmp_path, monkeypatch):
    """Killed at step 20, after it had logged steps past its last checkpoint."""
    config = (*SMALL, "logger=tensorboard", "probe.every=1", "train.checkpoint_every=12", "figures=false")
    logged = TensorBoard.log

    def killed(self, step, values):
        logged(self, step, values)
        self._writer.flush()
        if step == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(TensorBoard, "log", killed)
    with pytest.raises(KeyboardInterrupt):
        execute(compose_config(*config), tmp_path, choices={})
    monkeypatch.setattr(TensorBoard, "log", logged)
    execute(compose_config(*config), tmp_path, choices={})
    found = scalars(read(tmp_path / "tensorboard"), "train_loss")
    assert found == pytest.approx(Run(tmp_path).metrics.set_index("step").train_loss.to_dict(), rel=1e-6)


def test_what_was_written_past_the_checkpoint_is_hidden(tmp_path):
    for start, last, value in ((0, 9, 1.0), (5, 7, 2.0)):
        board = TensorBoard(folder=tmp_path, config={}, start=start)
        for step in range(start, last + 1):
            board.log(step, {"train_loss": value})
        board.finish({"status": "interrupted"}, [])
    assert scalars(read(tmp_path / "tensorboard"), "train_loss") == {**dict.fromkeys(range(5), 1.0),
                                                                     **dict.fromkeys(range(5, 8), 2.0)}  # fmt: skip
