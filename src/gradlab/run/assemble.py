"""Build a training run from a config: data, model, optimizer and probe, seeded and on one device."""

from collections.abc import Callable
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf

from gradlab.config import build
from gradlab.data.chance import chance
from gradlab.data.units import units
from gradlab.errors import GradlabError
from gradlab.nn.auxiliary import Auxiliary
from gradlab.nn.own import check_outputs
from gradlab.optim.parameters import parameter_groups
from gradlab.probe.probe import Probe
from gradlab.train.freeze import Freeze, read_freeze
from gradlab.train.loop import Loop
from gradlab.train.precision import Precision, check_support
from gradlab.train.rng import seed_all
from gradlab.train.structure import Structure
from gradlab.train.task import TASKS

_SHORT = {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}
_BATCH_NORMS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d, torch.nn.SyncBatchNorm)
# Use torch's own random numbers in compiled code: a second pass can reproduce them, unlike the compiler's.
_COMPILER: dict[str, Any] = {"fallback_random": True}


def load(cfg: DictConfig) -> Any:
    """Build the data that a config describes, on its device and in its dtype."""
    return build.build(cfg.data, "data").to(find_device(cfg.train.device), getattr(torch, cfg.train.dtype))


def assemble(cfg: DictConfig, *, load: Callable[[DictConfig], Any] = load) -> Loop:
    """Build everything that a config describes, seeded and on its device.

    Args:
        cfg: A checked config.
        load: Returns the data.

    Raises:
        GradlabError: A part refuses its arguments, or the device is not available.
    """
    device = find_device(cfg.train.device)
    _set_float32(device, tf32=cfg.train.tf32)
    torch.set_num_threads(cfg.train.threads)
    seed_all(cfg.seed)
    dtype = getattr(torch, cfg.train.dtype)
    data = load(cfg)
    # Always built on the CPU in float32, so that a seed gives the same weights on every device and in every dtype.
    sizes = {"input_shape": data.input_shape, "outputs": data.outputs}
    sizes |= {"each_step": True} if data.each_step else {}
    sizes = {name: size for name, size in sizes.items() if build.takes(cfg.model, name)}
    model = build.build(cfg.model, "model", **sizes).to(device, dtype)
    _check_outputs_per_step(cfg, model, data)
    with build.blame("train", keys=("autocast",)):
        check_support(model, device, _SHORT[cfg.train.autocast])
    if cfg.train.accumulate > 1 and any(isinstance(part, Auxiliary) and len(part) for part in model.modules()):
        raise GradlabError(
            f"train.accumulate={cfg.train.accumulate}: auxiliary heads are measured one batch a step; take 1"
        )
    batches = data.batches(batch_size=cfg.train.batch_size, seed=cfg.seed)
    _finish(model, batches, data, seed=cfg.seed)
    factory = build.build(cfg.optimizer, "optimizer")

    def make_optimizer() -> torch.optim.Optimizer:
        with build.blame("optimizer", keys=cfg.optimizer):
            return factory(parameter_groups(model, decay_biases=cfg.train.decay_biases))

    optimizer = make_optimizer()
    lr_scheduler = build.build(cfg.lr_scheduler, "lr_scheduler")
    with build.blame("lr_scheduler", keys=cfg.lr_scheduler):
        lr_scheduler = lr_scheduler(optimizer)
    with build.blame("train", keys=("freeze", "grow")):
        freeze, grow = _read_structure(cfg)
    with build.blame("probe", keys=cfg.probe):
        probe = Probe(model, last=cfg.train.steps - 1, also=grow, **cfg.probe)
    with build.blame("train", keys=("freeze", "grow")):
        structure = Structure(
            model, optimizer, probe, freeze=freeze, grow=grow, make_optimizer=make_optimizer, seed=cfg.seed
        )
    return Loop(
        model=model,
        batches=batches,
        test=data.test_batches(),
        task=TASKS[data.task],
        optimizer=optimizer,
        lr_scheduler=lr_scheduler,
        clip=build.build(cfg.clipping, "clipping"),
        probe=probe,
        structure=structure,
        precision=Precision(device, _SHORT[cfg.train.autocast]),
        steps=cfg.train.steps,
        update=not cfg.train.measure_only,
        eval_every=cfg.train.eval_every,
        accumulate=cfg.train.accumulate,
        compiled=torch.compile(model, options=_COMPILER) if cfg.train.compile else None,
        pause_every=cfg.train.checkpoint_every,
        chance=chance(data),
        units=units(data),
        warnings=getattr(data, "warnings", ()),
    )


def _check_outputs_per_step(cfg: DictConfig, model: torch.nn.Module, data: Any) -> None:
    """Refuse a gradlab model with one output per sequence if the data needs one at every time step."""
    if data.each_step and hasattr(model, "points") and not build.takes(cfg.model, "each_step"):
        raise GradlabError(
            "model has one output for a whole input, and this data needs one at every time step: "
            "choose model=rnn, lstm or gru"
        )


def _finish(model: torch.nn.Module, batches: Any, data: Any, *, seed: int) -> None:
    """Run data-dependent initializers on the first batch, under a separate random state.

    A network that is not gradlab's own declares no output shape, so it is checked on that batch too.
    """
    state = batches.state_dict()
    inputs, _ = next(batches)
    if len(inputs) == 1 and any(isinstance(module, _BATCH_NORMS) for module in model.modules()):
        raise GradlabError("train.batch_size=1: batch_norm needs at least 2 samples to normalize over")
    batches.load_state_dict(state)
    with torch.random.fork_rng():
        seed_all(seed)
        if isinstance(finish := getattr(model, "finish", None), Callable):
            finish(inputs)
        if not hasattr(model, "points"):
            with build.blame("model"):
                check_outputs(model, inputs, outputs=data.outputs, each_step=data.each_step)


def _read_structure(cfg: DictConfig) -> tuple[list[Freeze], dict[int, int]]:
    """Return the layers to freeze, and the depth to grow to at each step.

    Raises:
        ValueError: ``freeze`` or ``grow`` is malformed, or does not fit the run.
    """
    train = cast(dict[str, Any], OmegaConf.to_container(cfg.train))
    grow = train["grow"] if train["grow"] is not None else {}
    if not isinstance(grow, dict) or not all(type(number) is int for pair in grow.items() for number in pair):
        raise ValueError(f"grow: must be a depth for each step, such as {{100: 8, 200: 16}}; got {grow}")
    if late := [step for step in grow if not 0 < step < cfg.train.steps]:
        raise ValueError(f"grow: step {late[0]} is not among the steps 1 to {cfg.train.steps - 1}")
    if grow and cfg.train.compile:
        raise ValueError("grow: a compiled network cannot change; set train.compile=false")
    return read_freeze(train["freeze"]), grow


def _set_float32(device: torch.device, *, tf32: bool) -> None:
    """Set the precision of CUDA's float32 products: torch's defaults differ for matrices and convolutions."""
    if tf32 and device.type != "cuda":
        raise GradlabError(f"train.tf32=true: TF32 is for CUDA, and this run is on the {device.type}")
    backends: Any = torch.backends  # its submodules are not declared
    for operation in (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn):
        operation.fp32_precision = "tf32" if tf32 else "ieee"


def find_device(name: str) -> torch.device:
    """Return the device that ``train.device`` names; ``auto`` is CUDA if available, else the CPU.

    Raises:
        GradlabError: The device is not available.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise GradlabError("train.device=cuda: torch finds no CUDA device here; use train.device=cpu or auto")
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
