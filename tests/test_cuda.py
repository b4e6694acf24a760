"""The path on a GPU: nothing waits for it between two records, and every precision runs."""

import pytest
import torch

from gradlab.run.assemble import assemble
from tests.support.running import compose_config

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SMALL = ("train.device=cuda", "model.depth=4", "model.width=32", "train.steps=60", "train.eval_every=0")


@pytest.fixture
def syncs_are_errors():
    """Let every wait for the device raise, from when the test says so."""
    yield lambda: torch.cuda.set_sync_debug_mode("error")
    torch.cuda.set_sync_debug_mode("default")


def final_weights(*overrides):
    loop = assemble(compose_config(*SMALL, *overrides))
    metrics = [found for found in loop.run() if found]
    return [parameter.cpu() for parameter in loop.model.parameters()], metrics, loop


@pytest.mark.parametrize("overrides", [
    ("probe=off",),
    ("probe=off", "train.autocast=bf16", "train.accumulate=2"),
    ("probe=off", "clipping=norm", "optimizer=adam", "lr_scheduler=cosine"),
    ("probe=off", "data=adding", "data.length=6"),
    ("probe=off", "residual=stochastic_depth", "normalization=batch_norm"),
])  # fmt: skip
def test_steps_that_are_not_recorded_do_not_wait(syncs_are_errors, overrides):
    loop = assemble(compose_config(*SMALL, *overrides))
    loop.pause_every = 20
    steps = loop.run()
    assert next(steps) == {}  # libraries wake up in the first steps, and may wait
    syncs_are_errors()
    assert next(steps) == {}


@pytest.mark.parametrize("overrides", [
    ("probe=full", "residual=pre_activation"),
    ("probe.every=1", "probe.full_every=100", "optimizer=adam"),  # W is read ahead from one step to the next
    ("probe=full", "model=cnn", "data=fake_images", "normalization=batch_norm"),
    ("probe=full", "normalization=weight_norm"),
])  # fmt: skip
def test_looking_does_not_wait(syncs_are_errors, overrides):
    """All columns are gathered on the device; only `take` brings them over."""
    loop = assemble(compose_config(*SMALL, *overrides))
    inputs, targets = next(loop.batches)
    for step in range(6):
        if step == 2:
            syncs_are_errors()
        loop.probe.start(step)
        loop.optimizer.zero_grad()
        loop.task.loss(loop.model(inputs), targets).backward()
        loop.probe.after_backward()
        loop.probe.after_clipping()
        loop.optimizer.step()
        loop.probe.after_update()
    torch.cuda.set_sync_debug_mode("default")
    assert {row[0] for row in loop.probe.take().layers} == set(range(6))


@pytest.mark.parametrize("overrides", [
    (), ("train.tf32=true",), ("train.autocast=bf16",), ("train.autocast=fp16", "train.accumulate=2"),
    ("train.compile=true", "residual=stochastic_depth"),
])  # fmt: skip
def test_the_probe_changes_no_bit_on_a_gpu(overrides):
    with_probe, metrics, _ = final_weights(*overrides, "probe=full")
    without, _, _ = final_weights(*overrides, "probe=off")
    assert all(torch.equal(a, b) for a, b in zip(with_probe, without, strict=True))
    assert metrics[-1]["train_loss"] < metrics[0]["train_loss"]


def test_float32_products_are_whole_unless_asked_otherwise():
    products = {}
    for tf32 in (False, True):
        assemble(compose_config(*SMALL, f"train.tf32={str(tf32).lower()}"))
        torch.manual_seed(0)
        a, b = torch.randn(2, 512, 512, device="cuda")
        error = ((a @ b).double() - a.double() @ b.double()).abs().max() / (a.double() @ b.double()).abs().max()
        products[tf32] = float(error)
    assert products[False] < 1e-5
    if torch.cuda.get_device_capability() >= (8, 0):
        assert products[True] > 1e-5
