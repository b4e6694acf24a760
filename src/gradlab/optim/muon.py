"""Muon for hidden weight matrices and AdamW for everything else, as one optimizer."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor
from torch.optim import AdamW, Optimizer

Beta = Annotated[float, Ge(0), Lt(1)]


class Muon(Optimizer):
    """Momentum that is orthogonalized, approximately, before each update (Jordan et al. 2024).

    Muon updates the hidden weight matrices. AdamW updates all else, as Jordan et al. advise: the first and the last
    matrix (input and output layer), matrices with one row or column, and tensors that are not matrices.

    Args:
        params: Parameters in the model's order, or parameter groups.
        lr: Learning rate of Muon and AdamW.
        weight_decay: Decoupled weight decay of Muon and AdamW.
        momentum: Momentum of Muon.
        nesterov: Whether Muon uses Nesterov momentum.
        ns_steps: Number of Newton-Schulz iterations of the orthogonalization.
        adjust_lr_fn: Factor on Muon's learning rate: "match_rms_adamw" gives updates of AdamW's size, so that one
            learning rate serves both (Liu et al. 2025, eq. 4); "original" is Jordan's sqrt(max(1, rows / columns)).
        betas: Running-mean factors of AdamW.
        eps: Added to AdamW's denominator.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: Annotated[float, Gt(0)],
        weight_decay: Annotated[float, Ge(0)],
        momentum: Beta,
        nesterov: bool,
        ns_steps: Annotated[int, Ge(1), Lt(100)],
        adjust_lr_fn: Literal["match_rms_adamw", "original"],
        betas: tuple[Beta, Beta],
        eps: Annotated[float, Gt(0)],
    ) -> None:
        groups = [item if isinstance(item, dict) else {"params": [item]} for item in params]
        matrices = [tensor for group in groups for tensor in group["params"] if tensor.dim() == 2]
        hidden = {tensor for tensor in matrices[1:-1] if min(tensor.shape) > 1}
        self._muon = torch.optim.Muon(
            _select(groups, lambda tensor: tensor in hidden),
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            ns_steps=ns_steps,
            adjust_lr_fn=adjust_lr_fn,
        )
        self._adamw = AdamW(
            _select(groups, lambda tensor: tensor not in hidden), lr=lr, weight_decay=weight_decay, betas=betas, eps=eps
        )
        super().__init__([*self._muon.param_groups, *self._adamw.param_groups], {})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Do one update.

        Args:
            closure: Recomputes the loss and returns it, or None.
        """
        loss = None if closure is None else torch.enable_grad()(closure)()
        # schedules and checkpoints change the groups and the state of this optimizer, so they are passed on each step
        first_of_adamw = len(self._muon.param_groups)
        for part, groups in (
            (self._muon, self.param_groups[:first_of_adamw]),
            (self._adamw, self.param_groups[first_of_adamw:]),
        ):
            part.param_groups, part.state = groups, self.state
            part.step()
        return loss


def _select(groups: Iterable[dict[str, Any]], belongs: Callable[[Tensor], bool]) -> list[dict[str, Any]]:
    """Return one group per set of options, with the tensors for which ``belongs`` is true; a group may be empty."""
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for group in groups:
        options = {key: value for key, value in group.items() if key != "params"}
        selected = merged.setdefault(tuple(options.items()), {"params": [], **options})
        selected["params"] += [tensor for tensor in group["params"] if belongs(tensor)]
    return list(merged.values())
