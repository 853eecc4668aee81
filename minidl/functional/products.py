"""The matrix products: matmul of any ranks, and the linear layer."""
from __future__ import annotations

import numpy as np

from .. import arrays
from ..arrays import as_matrix
from .operation import Operation
from .shapes import reshape

_matmul = Operation(
    "matmul", arrays.matmul,
    lambda g, y, a, b: arrays.matmul(g, np.swapaxes(b, -1, -2)),
    lambda g, y, a, b: arrays.matmul(np.swapaxes(a, -1, -2), g),
    reads=("1", "0"))


def matmul(a, b):
    """a b over the last two axes; a vector is a row on the left and a column on the right.

    (..., M, K) (..., K, N) -> (..., M, N), the axes before the last two broadcast. Raises TypeError for
    differing dtypes and ValueError for numbers or shapes that do not match.
    """
    for x in (a, b):
        if not getattr(x, "ndim", 0):
            raise ValueError(f"matmul: expected arrays of at least one axis, got {_described(x)}")
    row, column = a.ndim == 1, b.ndim == 1
    y = _matmul(reshape(a, (1, -1)) if row else a, reshape(b, (-1, 1)) if column else b)
    if row:
        y = reshape(y, y.shape[:-2] + y.shape[-1:])
    return reshape(y, y.shape[:-1]) if column else y


def _described(x) -> str:
    return "a single number" if hasattr(x, "ndim") else type(x).__name__


def _linear_value(x, weight, bias=None):
    shapes = [None if part is None else part.shape for part in (x, weight, bias)]
    if weight.ndim != 2 or x.shape[-1:] != weight.shape[1:] or shapes[2] not in (None, weight.shape[:1]):
        raise ValueError(
            "linear: expected x (..., in), weight (out, in), bias (out,), got {}, {}, {}".format(*shapes))
    for part in (x, weight, bias):
        if part is not None and (part.dtype not in arrays.FLOATS or part.dtype != x.dtype):
            raise TypeError(f"linear: expected one float dtype, got {part.dtype} beside {x.dtype}")
    return arrays.linear(as_matrix(x), weight, bias).reshape(*x.shape[:-1], len(weight))


def _weight_gradient(g, y, x, weight, bias=None):
    dweight = np.zeros_like(weight)
    arrays.add_linear_gradients(as_matrix(x), as_matrix(g), dweight, None)
    return dweight


def _bias_gradient(g, y, x, weight, bias):
    db = np.zeros_like(bias)
    arrays.add_column_sum(as_matrix(g), db)
    return db


_linear = Operation(
    "linear", _linear_value,
    lambda g, y, x, weight, bias=None: arrays.linear_input_gradient(as_matrix(g), weight).reshape(x.shape),
    _weight_gradient,
    _bias_gradient,
    reads=("1", "0", ""))


def linear(x, weight, bias=None):
    """y = x weightᵀ + bias: (..., in) (out, in) (out,) -> (..., out).

    dx = g weight, dweight = gᵀ x, dbias = the sum of g over the rows. Raises ValueError for shapes that do
    not match and TypeError for differing dtypes.
    """
    return _linear(x, weight) if bias is None else _linear(x, weight, bias)
