"""Dropout (Srivastava et al. 2014), inverted: elements that remain are scaled up, so that evaluation is free."""
from __future__ import annotations

from collections.abc import Callable

from .. import random
from ..arrays import FLOATS, unsupported
from ..autograd.tensor import Tensor, drawn
from .operation import Operation, no_derivative

_scaled = Operation(
    "dropout", lambda x, scale: x * scale, lambda g, y, x, scale: g * scale, no_derivative, reads=("1", ""))


def check_probability(name: str, p: float) -> None:
    if not 0 <= p <= 1:  # NaN neither
        raise ValueError(f"{name}: expected a probability 0 <= p <= 1, got {p}")


def draw_scale(x, p: float, generator):
    """0 with probability p and 1 / (1 - p) otherwise, for each element of x; all 0 for p = 1.

    TypeError unless x is of floats.
    """
    if not hasattr(x, "dtype") or x.dtype not in FLOATS:
        raise unsupported("dropout", x)
    kept = generator.random(x.shape, dtype=x.dtype) >= p
    return kept * x.dtype.type(1 / (1 - p) if p < 1 else 0)


def dropout(x, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator=None):
    """x with each element set to zero with probability p and scaled by 1 / (1 - p) otherwise; p = 1 drops all.

    Without ``training``, x itself. ``inplace`` is PyTorch's and changes nothing. ``generator``: a seed or
    a numpy.random.Generator. ValueError for p outside [0, 1].
    """
    check_probability("dropout", p)
    if not training or p == 0:
        return x
    return dropped(x, lambda x: draw_scale(x, p, random.generator(generator)))


def dropped(x, draw: Callable):
    """x times the array draw(x), for an array x; a recorded step draws anew at each replay."""
    if not isinstance(x, Tensor):
        return _scaled(x, draw(x))
    return _scaled(x, drawn("dropout_scale", draw, x))
