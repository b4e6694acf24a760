"""Finding the weight layers of a model that does not name its places to measure."""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from gradlab.interfaces import MAIN, UNNUMBERED, Point


def find_points(model: nn.Module) -> list[Point]:
    """Return where to measure: what the model's own ``points()`` says, else every weight of a known kind.

    These are the parameters called ``weight`` with two dimensions or more (Linear, Conv, Embedding …; normalizations
    have one) and the matrices of torch's recurrent modules, recurrent cells and attention. Layers found this way are
    not numbered: the order in which they are called is known only once they have been. Modules that are never
    called, and modules that share one weight, are found too.

    Raises:
        ValueError: If a layer is lazy and has no weight yet, or there is no weight layer.
    """
    own = getattr(model, "points", None)
    if own is not None:
        return list(own())
    points = [point for module in model.modules() for point in _points(module)]
    borrowed = {point.affine for point in points if point.caller is not None}
    points = [point for point in points if point.caller is not None or point.affine not in borrowed]
    if not points:
        raise ValueError(f"{type(model).__name__} has no weight layer (Linear, Conv, Embedding, recurrent, attention)")
    return points


def _points(module: nn.Module) -> Iterator[Point]:
    if isinstance(module, nn.RNNBase):
        for weight, role in _recurrent_weights(module):
            yield _hidden(module, weight, role)
    elif isinstance(module, nn.RNNCellBase):
        yield _hidden(module, "weight_ih", MAIN)
        yield _hidden(module, "weight_hh", "recurrent")
    elif isinstance(module, nn.MultiheadAttention):
        split = (("v_proj_weight", MAIN), ("q_proj_weight", "query"), ("k_proj_weight", "key"))
        for weight, role in split if module.in_proj_weight is None else (("in_proj_weight", MAIN),):
            yield _hidden(module, weight, role)
        # Its weight is used, but it is never called.
        out = module.out_proj
        yield Point(depth_index=UNNUMBERED, affine=out, output=out, caller=module)
    elif isinstance(weight := getattr(module, "weight", None), Tensor):
        if is_lazy(weight):
            raise ValueError(f"{type(module).__name__} has no weight yet: do a forward pass before it is measured")
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


def _hidden(module: nn.Module, weight: str, role: str) -> Point:
    """Return a point whose weight is used inside of a kernel, where z cannot be seen."""
    return Point(depth_index=UNNUMBERED, affine=module, weight=weight, role=role, output=module, observed=False)
