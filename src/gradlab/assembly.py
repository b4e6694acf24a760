"""A config becomes a training run: everything built, seeded, and on its device."""

from collections.abc import Callable
from typing import Any

import torch
from omegaconf import DictConfig
from torch.nn.modules.batchnorm import _BatchNorm

from gradlab import build
from gradlab.errors import GradlabError
from gradlab.nn.own import check_outputs
from gradlab.optim.parameters import parameter_groups
from gradlab.probe.probe import Probe
from gradlab.train import TASKS, Loop


def assemble(cfg: DictConfig) -> Loop:
    """Build everything that a config describes, seeded and on its device.

    Args:
        cfg: A checked config.

    Raises:
        GradlabError: A part refuses its arguments, or the device is not there.
    """
    device = _device(cfg.train.device)
    torch.set_num_threads(cfg.train.threads)
    torch.manual_seed(cfg.seed)
    dtype = getattr(torch, cfg.train.dtype)
    data = build.build(cfg.data, "data").to(device, dtype)
    # Built on the CPU in float32 whatever the device and dtype, so that a seed means the same weights everywhere.
    sizes = {"input_shape": data.input_shape, "outputs": data.outputs, "each_step": data.each_step}
    sizes = {name: size for name, size in sizes.items() if build.takes(cfg.model, name)}
    model = build.build(cfg.model, "model", **sizes).to(device, dtype)
    _check_answers(cfg, model, data)
    batches = data.batches(batch_size=cfg.train.batch_size, seed=cfg.seed)
    _finish(model, batches, data, seed=cfg.seed)
    optimizer = build.build(cfg.optimizer, "optimizer")
    with build.blame("optimizer", keys=cfg.optimizer):
        optimizer = optimizer(parameter_groups(model, decay_biases=cfg.train.decay_biases))
    lr_scheduler = build.build(cfg.lr_scheduler, "lr_scheduler")
    with build.blame("lr_scheduler", keys=cfg.lr_scheduler):
        lr_scheduler = lr_scheduler(optimizer)
    with build.blame("probe", keys=cfg.probe):
        probe = Probe(model, last=cfg.train.steps - 1, **cfg.probe)
    return Loop(
        model=model,
        batches=batches,
        test=data.test_batches(),
        task=TASKS[data.task],
        optimizer=optimizer,
        lr_scheduler=lr_scheduler,
        clip=build.build(cfg.clipping, "clipping"),
        probe=probe,
        steps=cfg.train.steps,
        update=not cfg.train.measure_only,
        eval_every=cfg.train.eval_every,
    )


def _check_answers(cfg: DictConfig, model: torch.nn.Module, data: Any) -> None:
    """Refuse one of gradlab's models that answers once where the data wants an answer at every time step."""
    if data.each_step and hasattr(model, "points") and not build.takes(cfg.model, "each_step"):
        wanted = "this data wants an answer at every time step; model=rnn, lstm and gru give one"
        raise GradlabError(f"model answers once for a whole input, {wanted}")


def _finish(model: torch.nn.Module, batches: Any, data: Any, *, seed: int) -> None:
    """Let data-dependent initializers see the first batch, under random numbers of their own.

    A network that gradlab did not make does not say what it needs or answers: it is tried on that batch.
    """
    state = batches.state_dict()
    inputs, _ = next(batches)
    if len(inputs) == 1 and any(isinstance(module, _BatchNorm) for module in model.modules()):
        raise GradlabError("train.batch_size=1: batch_norm needs at least 2 samples to normalize over")
    batches.load_state_dict(state)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if isinstance(finish := getattr(model, "finish", None), Callable):
            finish(inputs)
        if not hasattr(model, "points"):
            with build.blame("model"):
                check_outputs(model, inputs, outputs=data.outputs, each_step=data.each_step)


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise GradlabError("train.device=cuda: torch finds no CUDA device here; train.device=cpu or auto would run")
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
