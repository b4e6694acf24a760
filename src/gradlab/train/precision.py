"""Automatic mixed precision, with loss scaling under float16."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from gradlab.errors import one_line


class Precision:
    """Automatic mixed precision: matrix products in a short number type, weights and updates in their own.

    Under float16 the loss is multiplied by a power of two before the backward pass, and the gradients are divided by it
    afterwards (Micikevicius et al. 2018, section 3.2). A step whose gradients still overflow is skipped, and the factor
    is halved. Under every other type none of this is done.

    Args:
        device: The network's device.
        dtype: Short number type; None for none.

    Attributes:
        autocast: Context for the forward pass.
        skipped: Number of skipped steps, a 0-d int64 tensor on the device.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype | None = None) -> None:
        self.autocast = torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)
        self.skipped = torch.zeros((), dtype=torch.int64, device=device)
        self._scaler = GradScaler(device.type, enabled=dtype is torch.float16)
        self._one = torch.ones((), device=device)
        if self._scaler.is_enabled():  # torch warns if the first step is skipped
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step", category=UserWarning)

    def scale(self, loss: Tensor) -> Tensor:
        """Return the loss times the scaling factor."""
        return self._scaler.scale(loss)

    @property
    def factor(self) -> Tensor | float:
        """The scaling factor, 0-d; 1 where there is no scaling."""
        return self._factor() if self._scaler.is_enabled() else 1.0

    def unscale(self, optimizer: Optimizer) -> Tensor | None:
        """Divide the gradients by the factor, in place, and return it, 0-d; None where there is no scaling."""
        if not self._scaler.is_enabled():
            return None
        self._scaler.unscale_(optimizer)
        return self._factor()

    def step(self, optimizer: Optimizer) -> None:
        """Step the optimizer unless the gradients overflowed; under float16 the host waits for the device."""
        self._scaler.step(optimizer)

    def end(self) -> None:
        """Choose the next factor, at the end of a step, and count the step if it was skipped."""
        if self._scaler.is_enabled():
            before = self._factor()
            self._scaler.update()
            self.skipped += self._factor() < before

    def state_dict(self) -> dict[str, Any]:
        """Return the factor and the steps since it changed, and the number of skipped steps."""
        return {"scaler": self._scaler.state_dict(), "skipped": self.skipped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore ``state``."""
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(state["scaler"])
        self.skipped.copy_(state["skipped"])

    def _factor(self) -> Tensor:
        return self._scaler.scale(self._one).double()


def check_support(model: nn.Module, device: torch.device, dtype: torch.dtype | None) -> None:
    """Try each kind of recurrent layer of a model once, because not every CPU has torch's kernels for short numbers.

    Args:
        model: The network.
        device: Its device.
        dtype: Short number type; None for none.

    Raises:
        ValueError: A kind of layer does not run here in this number type.
    """
    recurrent: list[Any] = [module for module in model.modules() if isinstance(module, nn.RNNBase)]
    if dtype is torch.float16 and device.type == "cpu" and recurrent:
        raise ValueError("autocast=fp16: torch has no float16 recurrent nets on a CPU; use bf16")
    for kind in dict.fromkeys(type(module) for module in recurrent) if dtype is not None else ():
        try:
            with torch.random.fork_rng(), torch.autocast(device.type, dtype=dtype):
                kind(1, 1, device=device)(torch.zeros(1, 1, 1, device=device))[0].sum().backward()
        except RuntimeError as error:
            what = f"{kind.__name__} in {str(dtype).removeprefix('torch.')} for this {device.type}"
            reason = one_line(error)[:70]
            raise ValueError(f"autocast: torch has no {what}; use train.autocast=none ({reason})") from error
