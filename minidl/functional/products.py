"""The matrix products: matmul of any ranks, and the linear layer."""
from __future__ import annotations

import numpy as np

from .. import arrays
from .operation import Operation, fit
from .shapes import reshape

_matmul = Operation(
    "matmul", arrays.matmul,
    lambda g, y, a, b: fit(arrays.matmul(g, np.swapaxes(b, -1, -2)), a),
    lambda g, y, a, b: fit(arrays.matmul(np.swapaxes(a, -1, -2), g), b))


def matmul(a, b):
    """a b over the last two axes; a vector is a row on the left and a column on the right.

    (..., M, K) (..., K, N) -> (..., M, N), the axes before the last two broadcast. Raises TypeError for
    differing dtypes and ValueError for numbers or shapes that do not match.
    """
    if not (np.ndim(_array(a)) and np.ndim(_array(b))):
        raise ValueError("matmul: expected arrays of at least one axis, got a number")
    row, column = np.ndim(_array(a)) == 1, np.ndim(_array(b)) == 1
    y = _matmul(reshape(a, (1, -1)) if row else a, reshape(b, (-1, 1)) if column else b)
    if row:
        y = reshape(y, y.shape[:-2] + y.shape[-1:])
    return reshape(y, y.shape[:-1]) if column else y


def _array(x) -> np.ndarray:
    return getattr(x, "data", x) if not isinstance(x, np.ndarray) else x


def _rows(x):
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def _weight_gradient(g, y, x, weight, bias=None):
    dweight = np.zeros_like(weight)
    arrays.add_weight_gradient(_rows(x), _rows(g), dweight)
    return dweight


def _bias_gradient(g, y, x, weight, bias=None):
    db = np.zeros_like(bias)
    arrays.add_column_sum(_rows(g), db)
    return db


def _linear_value(x, weight, bias=None):
    if x.shape[-1:] != weight.shape[1:] or (bias is not None and bias.shape != weight.shape[:1]):
        raise ValueError(
            f"linear: expected x (..., in), weight (out, in), bias (out,), "
            f"got {x.shape}, {weight.shape}, {None if bias is None else bias.shape}")
    return arrays.linear(_rows(x), weight, bias).reshape(*x.shape[:-1], len(weight))


# y = x weightᵀ + bias: dx = g weight, dweight = gᵀ x, db = the sum of g over the rows
linear = Operation(
    "linear", _linear_value,
    lambda g, y, x, weight, bias=None: arrays.matmul(_rows(g), weight).reshape(x.shape),
    _weight_gradient,
    _bias_gradient)
