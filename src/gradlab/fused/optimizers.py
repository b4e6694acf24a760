"""Torch's optimizers with numbers that differ from run to run: the update of one stacked parameter, class by class.

Each repeats torch's own single-tensor function, operation by operation, with numbers [K, 1, ...] in place of floats.
A rule is called as ``rule(parameter, gradient, state, numbers, options, step)``. Both tensors and the state, under
torch's names, are [K, ...]; ``numbers`` gives each number of the optimizer as a tensor that broadcasts to them;
``options`` are the settings that all runs share; ``step`` counts from 1.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, Adamax, AdamW, NAdam, Optimizer, RAdam, RMSprop

State = dict[str, Tensor]


class Numbers:
    """The numbers of one parameter group, in float64, and factors computed from them once a step for all tensors.

    Args:
        values: A number for each run by name, [K] in float64.
        like: A stacked parameter, whose device and dtype the factors get.
    """

    def __init__(self, values: Mapping[str, Tensor], like: Tensor) -> None:
        self.values = values
        self._like = like
        self._factors: dict[tuple[str, int], Tensor] = {}
        self._used = {name: bool(value.any()) for name, value in values.items()}

    def __getitem__(self, name: str) -> Tensor:
        """Return a number, [K] in float64."""
        return self.values[name]

    def used(self, name: str) -> bool:
        """Return whether a number differs from 0 in any run."""
        return self._used[name]

    def put(self, name: str, parameter: Tensor, make: Callable[[], Tensor]) -> Tensor:
        """Return the cached factor [K] that ``make`` computes, in a parameter's dtype, shaped to broadcast to it."""
        key = (name, parameter.dim())
        if key not in self._factors:
            shape = (-1, *(1 for _ in parameter.shape[1:]))
            self._factors[key] = make().to(self._like.device, self._like.dtype).view(shape)
        return self._factors[key]

    def shaped(self, name: str, parameter: Tensor) -> Tensor:
        """Return a number of the optimizer, shaped to broadcast to a parameter."""
        return self.put(name, parameter, lambda: self.values[name])


Rule = Callable[[Tensor, Tensor, State, Numbers, Mapping[str, Any], int], None]


def sgd(p: Tensor, g: Tensor, state: State, n: Numbers, options: Mapping[str, Any], step: int) -> None:
    """Apply one step of ``torch.optim.SGD``, with momentum and Nesterov momentum."""
    g = _decayed(p, g, n)
    if n.used("momentum"):
        momentum = n.shaped("momentum", p)
        if (buffer := state.get("momentum_buffer")) is None:
            state["momentum_buffer"] = buffer = g.clone()
        else:  # not one addcmul, which rounds once less than torch does
            buffer.mul_(momentum).addcmul_(g, n.put("1 - dampening", p, lambda: 1 - n["dampening"]))
        g = torch.addcmul(g, buffer, momentum) if options["nesterov"] else buffer
    p.addcmul_(g, n.shaped("lr", p), value=-1)


def adagrad(p: Tensor, g: Tensor, state: State, n: Numbers, options: Mapping[str, Any], step: int) -> None:
    """Apply one step of ``torch.optim.Adagrad``."""
    g = _decayed(p, g, n)
    total = state["sum"].addcmul_(g, g)
    rate = n.put("rate", p, lambda: n["lr"] / (1 + (step - 1) * n["lr_decay"]))
    p.addcdiv_(g * rate, total.sqrt().add_(n.shaped("eps", p)), value=-1)


def rmsprop(p: Tensor, g: Tensor, state: State, n: Numbers, options: Mapping[str, Any], step: int) -> None:
    """Apply one step of ``torch.optim.RMSprop``, centered or not, with momentum or without."""
    g = _decayed(p, g, n)
    square = _state(state, "square_avg", p)
    rest = n.put("1 - alpha", p, lambda: 1 - n["alpha"])
    square.mul_(n.shaped("alpha", p)).addcmul_(g * rest, g)
    if options["centered"]:
        mean = _state(state, "grad_avg", p).lerp_(g, rest)
        root = square.addcmul(mean, mean, value=-1).sqrt_()
    else:
        root = square.sqrt()
    root.add_(n.shaped("eps", p))
    if n.used("momentum"):
        buffer = _state(state, "momentum_buffer", p).mul_(n.shaped("momentum", p)).addcdiv_(g, root)
        p.addcmul_(buffer, n.shaped("lr", p), value=-1)
    else:
        p.addcdiv_(g * n.shaped("lr", p), root, value=-1)


def adam(p: Tensor, g: Tensor, state: State, n: Numbers, options: Mapping[str, Any], step: int) -> None:
    """Apply one step of ``torch.optim.Adam`` or ``AdamW``, with AMSGrad."""
    g = _decoupled(p, g, n, options)
    mean, square = _moments(p, g, state, n)
    if options["amsgrad"]:
        square = torch.maximum(_state(state, "max_exp_avg_sq", p), square, out=state["max_exp_avg_sq"])
    root = square.sqrt().div_(n.put("root", p, lambda: (1 - n["beta2"] ** step).sqrt()))
    root.add_(n.shaped("eps", p))
    p.addcdiv_(mean * n.put("size", p, lambda: n["lr"] / (1 - n["beta1"] ** step)), root, value=-1)


def nadam(p: Tensor, g: Tensor, state: State, n: Numbers, options: Mapping[str, Any], step: int) -> None:
    """Apply one step of ``torch.optim.NAdam``."""
    mu, following = (n["beta1"] * (1 - 0.5 * 0.96 ** (t * n["momentum_decay"])) for t in (step, step + 1))
    product = state.setdefault("mu_product", torch.ones_like(mu, dtype=torch.float32))
    product.mul_(mu)
    g = _decoupled(p, g, n, options)
    mean, square = _moments(p, g, state, n)
    root = square.div(n.put("bias", p, lambda: 1 - n["beta2"] ** step)).sqrt_().add_(n.shaped("eps", p))
    wide = product.double()
    shape = (-1, *(1 for _ in p.shape[1:]))
    own, ahead = n["lr"] * (1 - mu) / (1 - wide), n["lr"] * following / (1 - wide * following)
    p.addcdiv_(g * own.to(p.device, p.dtype).view(shape), root, value=-1)
    p.addcdiv_(mean * ahead.to(p.device, p.dtype).view(shape), root, value=-1)


def radam(p: Tensor, g: Tensor, state: State, n: Numbers, options: Mapping[str, Any], step: int) -> None:
    """Apply one step of ``torch.optim.RAdam``."""
    g = _decoupled(p, g, n, options)
    mean, square = _moments(p, g, state, n)
    beta2, limit = n["beta2"], 2 / (1 - n["beta2"]) - 1
    length = limit - 2 * step * beta2**step / (1 - beta2**step)
    trusted = n.put("trusted", p, lambda: (length > 5).double()) > 0
    rectified = ((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)).clamp(min=0).sqrt()
    step_size = mean / n.put("bias1", p, lambda: 1 - n["beta1"] ** step) * n.shaped("lr", p)
    root = square.sqrt().add_(n.shaped("eps", p))
    adaptive = root.reciprocal_().mul_(n.put("bias2", p, lambda: (1 - beta2**step).sqrt()))
    factor = n.put("rectified", p, lambda: rectified)
    p.sub_(torch.where(trusted, step_size * adaptive * factor, step_size))


def adamax(p: Tensor, g: Tensor, state: State, n: Numbers, options: Mapping[str, Any], step: int) -> None:
    """Apply one step of ``torch.optim.Adamax``."""
    g = _decayed(p, g, n)
    mean = _state(state, "exp_avg", p).lerp_(g, n.put("1 - beta1", p, lambda: 1 - n["beta1"]))
    largest = _state(state, "exp_inf", p).mul_(n.shaped("beta2", p))
    torch.maximum(largest, g.abs().add_(n.shaped("eps", p)), out=largest)
    p.addcdiv_(mean * n.put("size", p, lambda: n["lr"] / (1 - n["beta1"] ** step)), largest, value=-1)


def _decayed(p: Tensor, g: Tensor, n: Numbers) -> Tensor:
    return torch.addcmul(g, p, n.shaped("weight_decay", p)) if n.used("weight_decay") else g


def _decoupled(p: Tensor, g: Tensor, n: Numbers, options: Mapping[str, Any]) -> Tensor:
    """Decay the weights themselves (AdamW) if the options say so, otherwise through the gradient that is returned."""
    if not options["decoupled_weight_decay"]:
        return _decayed(p, g, n)
    if n.used("weight_decay"):
        p.mul_(n.put("decay", p, lambda: 1 - n["lr"] * n["weight_decay"]))
    return g


def _moments(p: Tensor, g: Tensor, state: State, n: Numbers) -> tuple[Tensor, Tensor]:
    """Update and return Adam's running means of the gradient and of its square."""
    mean = _state(state, "exp_avg", p).lerp_(g, n.put("1 - beta1", p, lambda: 1 - n["beta1"]))
    square = _state(state, "exp_avg_sq", p).mul_(n.shaped("beta2", p))
    return mean, square.addcmul_(g * n.put("1 - beta2", p, lambda: 1 - n["beta2"]), g)


def _state(state: State, name: str, p: Tensor) -> Tensor:
    if name not in state:
        state[name] = torch.zeros_like(p)
    return state[name]


RULES: dict[type[Optimizer], Rule] = {
    SGD: sgd, Adagrad: adagrad, RMSprop: rmsprop, Adam: adam, AdamW: adam, NAdam: nadam, RAdam: radam, Adamax: adamax,
}  # fmt: skip
