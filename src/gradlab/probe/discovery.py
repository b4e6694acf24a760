"""Finding the weight layers of a model that does not name its places to measure."""

from torch import Tensor, nn

from gradlab.points import UNNUMBERED, Point


def find_points(model: nn.Module) -> list[Point]:
    """Return where to measure: what the model's own ``points()`` says, else every module that holds a weight.

    A weight is a parameter called ``weight`` with two dimensions or more, which leaves out normalization. Layers found
    this way are not numbered: the order in which they are called is known only once they have been. Modules called
    by nobody, and modules that share one weight, are found too.
    """
    own = getattr(model, "points", None)
    if own is not None:
        return list(own())
    return [
        Point(depth_index=UNNUMBERED, affine=module, output=module)
        for module in model.modules()
        if isinstance(weight := getattr(module, "weight", None), Tensor) and weight.dim() >= 2
    ]
