"""The offline run, read from its own file."""

import json
import struct

import pytest

pytestmark = pytest.mark.slow  # wandb starts a process of its own


def records(data):
    """Yield what the file holds: a LevelDB log of blocks of 32 KiB, behind a header of 7 bytes."""
    place, parts = 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:  # no room for a header: the block is padded
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def history(path):
    from wandb.proto import wandb_internal_pb2

    rows = []
    for data in records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        if record.HasField("history"):
            items = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
            rows.append({name: json.loads(text) for name, text in items.items()})
    return rows


def test_the_offline_run_holds_the_numbers_of_the_tables(run):
    done = run("model.depth=3", "model.width=16", "train.steps=30", "train.eval_every=10", "logger=wandb")
    import wandb

    wandb.teardown()  # its own process writes the file, and may do so after the run: at its end gradlab waits for it
    (path,) = (done.folder / "wandb").glob("offline-run-*/run-*.wandb")
    rows = {row["_step"]: row for row in history(path) if "train_loss" in row}
    assert sorted(rows) == list(done.metrics.step)
    for _, row in done.metrics.iterrows():
        assert rows[row.step]["train_loss"] == row.train_loss
    first = done.gradients[(done.gradients.step == 0) & (done.gradients.depth_index == 1)].iloc[0]
    assert rows[0]["gradient_norm/01_stem.affine"] == first.preactivation_grad_norm
