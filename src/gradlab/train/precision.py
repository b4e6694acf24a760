"""In which number type a network computes, and how small float16 gradients are kept from vanishing."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer


class Precision:
    """Automatic mixed precision: matrix products in a short number type, weights and updates in the long one.

    Under float16 the loss is multiplied by a power of two before the backward pass and the gradients divided by it
    after (Micikevicius et al. 2018, section 3.2); a step whose gradients overflow all the same is skipped and the
    factor halved. Under every other type all of this does nothing.

    Args:
        device: Where the network is.
        dtype: Short number type, or None for none.

    Attributes:
        autocast: The context in which the forward pass belongs.
        skipped: Number of skipped steps, a 0-d int64 tensor on the device.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype | None = None) -> None:
        self.autocast = torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)
        self.skipped = torch.zeros((), dtype=torch.int64, device=device)
        self._scaler = GradScaler(device.type, enabled=dtype is torch.float16)
        self._one = torch.ones((), device=device)
        if self._scaler.is_enabled():  # torch takes a skipped first step for a mistake in the loop
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step", category=UserWarning)

    def scale(self, loss: Tensor) -> Tensor:
        """Return the loss times the factor."""
        return self._scaler.scale(loss)

    @property
    def factor(self) -> Tensor | float:
        """What `scale` multiplies by, 0-d; 1 where it does nothing."""
        return self._factor() if self._scaler.is_enabled() else 1.0

    def unscale(self, optimizer: Optimizer) -> Tensor | None:
        """Divide the gradients by the factor, in place, and return it, 0-d; None where there is none."""
        if not self._scaler.is_enabled():
            return None
        self._scaler.unscale_(optimizer)
        return self._factor()

    def step(self, optimizer: Optimizer) -> None:
        """Do the optimizer's update, unless the gradients overflowed; under float16 this waits for the device."""
        self._scaler.step(optimizer)

    def end(self) -> None:
        """End a step, updated or not: choose the next factor."""
        if self._scaler.is_enabled():
            before = self._factor()
            self._scaler.update()
            self.skipped += self._factor() < before

    def state_dict(self) -> dict[str, Any]:
        """Return the factor and the steps since it changed, and the number of skipped steps."""
        return {"scaler": self._scaler.state_dict(), "skipped": self.skipped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``."""
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(state["scaler"])
        self.skipped.copy_(state["skipped"])

    def _factor(self) -> Tensor:
        return self._scaler.scale(self._one).double()
