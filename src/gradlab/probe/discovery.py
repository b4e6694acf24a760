"""Find the weight layers of a model that has no method ``points()``."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from gradlab.interfaces import MAIN, UNNUMBERED, Point


def find_points(model: nn.Module) -> list[Point]:
    """Return the layers to record: the model's own ``points()`` if it has them, else every weight of a known kind.

    These are the parameters named ``weight`` with two dimensions or more (Linear, Conv, Embedding …; normalizations
    have one) and the matrices of torch's recurrent modules, recurrent cells and attention. These layers are not
    numbered, because their order is that of the calls in a later step. Modules that are never called and modules that
    share a weight are included.

    Raises:
        ValueError: If a layer is lazy and has no weight yet, or there is no weight layer.
    """
    model_points = getattr(model, "points", None)
    if model_points is not None:
        return list(model_points())
    points = [point for module in model.modules() for point in _points(module)]
    called_elsewhere = {point.affine for point in points if point.caller is not None}
    points = [point for point in points if point.caller is not None or point.affine not in called_elsewhere]
    if not points:
        raise ValueError(f"{type(model).__name__} has no weight layer (Linear, Conv, Embedding, recurrent, attention)")
    return points


def layer_names(model: nn.Module, points: Sequence[Point]) -> dict[Point, str]:
    """Return each layer's name: its module's qualified name, then the weight's name unless that is ``weight``."""
    modules = {module: name for name, module in model.named_modules()}
    suffixes = {point: "" if point.weight == "weight" else point.weight for point in points}
    return {p: ".".join(filter(None, (modules[p.affine], suffixes[p]))) or type(p.affine).__name__ for p in points}


def _points(module: nn.Module) -> Iterator[Point]:
    if isinstance(module, nn.RNNBase):
        for weight, role in _recurrent_weights(module):
            yield _unobserved(module, weight, role)
    elif isinstance(module, nn.RNNCellBase):
        yield _unobserved(module, "weight_ih", MAIN)
        yield _unobserved(module, "weight_hh", "recurrent")
    elif isinstance(module, nn.MultiheadAttention):
        split = (("v_proj_weight", MAIN), ("q_proj_weight", "query"), ("k_proj_weight", "key"))
        for weight, role in split if module.in_proj_weight is None else (("in_proj_weight", MAIN),):
            yield _unobserved(module, weight, role)
        # The attention uses the weight of out_proj without calling it.
        out = module.out_proj
        yield Point(depth_index=UNNUMBERED, affine=out, output=out, caller=module)
    elif isinstance(weight := getattr(module, "weight", None), Tensor):
        if is_lazy(weight):
            raise ValueError(f"{type(module).__name__} has no weight yet; do a forward pass first")
        if weight.dim() >= 2:
            yield Point(depth_index=UNNUMBERED, affine=module, output=module)


def _recurrent_weights(module: nn.RNNBase) -> Iterator[tuple[str, str]]:
    """Yield the matrices of a recurrent module, layer by layer, with their roles."""
    for layer in range(module.num_layers):
        for suffix, role in (("", MAIN), ("_reverse", "reverse"))[: 1 + module.bidirectional]:
            yield f"weight_ih_l{layer}{suffix}", role
            yield f"weight_hh_l{layer}{suffix}", "recurrent"
            if module.proj_size:
                yield f"weight_hr_l{layer}{suffix}", "projection"


def _unobserved(module: nn.Module, weight: str, role: str) -> Point:
    """Return a point for a weight that is used inside a kernel, where no hook gets z."""
    return Point(depth_index=UNNUMBERED, affine=module, weight=weight, role=role, output=module, observed=False)
