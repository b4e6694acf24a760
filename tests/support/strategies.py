"""Tensors for hypothesis to draw."""

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import Tensor

SHAPES = array_shapes(min_dims=1, max_dims=4, max_side=6)


def tensors(*, kind=np.float32, shape=SHAPES, largest=None, **limits) -> st.SearchStrategy[Tensor]:
    """Draw tensors of finite numbers, the smallest and the largest of their type among them."""
    width = np.dtype(kind).itemsize * 8
    if largest is not None:
        limits |= {"min_value": -largest, "max_value": largest}
    numbers = st.floats(width=width, **({"allow_nan": False, "allow_infinity": False} | limits))
    return arrays(kind, shape, elements=numbers).map(torch.from_numpy)
