"""The matrix products: matmul of any ranks, and the linear layer."""
from __future__ import annotations

import numpy as np

from .. import arrays
from ..arrays import as_matrix
from .operation import Operation
from .shapes import expand, reshape

_turned = Operation(
    "transpose", lambda x: np.swapaxes(x, -1, -2), lambda g, y, x: _turned(g), reads=("",), views=True)
_matmul = Operation(
    "matmul", arrays.matmul,
    lambda g, y, a, b: _matmul(g, _turned(b)),
    lambda g, y, a, b: _matmul(_turned(a), g),
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


# The linear layer. Each of its derivatives is a product (or a sum), whose own derivatives are the others.

def _linear_value(x, weight, bias=None):
    shapes = [None if part is None else part.shape for part in (x, weight, bias)]
    if weight.ndim != 2 or shapes[0][-1:] != shapes[1][1:] or (bias is not None and shapes[2] != shapes[1][:1]):
        raise ValueError(
            "linear: expected x (..., in), weight (out, in), bias (out,), got {}, {}, {}".format(*shapes))
    dtype = x.dtype
    for part in (x, weight, bias):
        if part is not None and (part.dtype not in arrays.FLOATS or part.dtype != dtype):
            raise TypeError(f"linear: expected one float dtype, got {part.dtype} beside {dtype}")
    if x.ndim == 2:
        return arrays.linear(x, weight, bias)
    return arrays.linear(as_matrix(x), weight, bias).reshape(*x.shape[:-1], len(weight))


def _input_gradient(g, weight):
    if g.ndim == 2:
        return arrays.linear_input_gradient(g, weight)
    return arrays.linear_input_gradient(as_matrix(g), weight).reshape(*g.shape[:-1], weight.shape[1])


def _add_weight_gradient(total, g, x):
    arrays.add_linear_gradients(as_matrix(x), as_matrix(g), total, None)


def _add_bias_gradient(total, g):
    arrays.add_column_sum(as_matrix(g), total)


def _weight_gradient(g, x):
    total = np.zeros((x.shape[-1], g.shape[-1]), g.dtype).T  # as a Linear's weight lies
    _add_weight_gradient(total, g, x)
    return total


def _bias_gradient(g):
    total = np.zeros(g.shape[-1:], g.dtype)
    _add_bias_gradient(total, g)
    return total


linear_input_gradient = Operation(  # g weight: (..., O) (O, I) -> (..., I)
    "linear_input_gradient", _input_gradient,
    lambda u, d, g, weight: linear(u, weight),
    lambda u, d, g, weight: linear_weight_gradient(g, u),
    reads=("1", "0"))
linear_weight_gradient = Operation(  # gᵀ x: (..., O) (..., I) -> (O, I)
    "linear_weight_gradient", _weight_gradient,
    lambda u, d, g, x: linear(x, u),
    lambda u, d, g, x: linear_input_gradient(g, u),
    reads=("1", "0"), add=_add_weight_gradient)
linear_bias_gradient = Operation(  # Σ g: (..., O) -> (O,)
    "linear_bias_gradient", _bias_gradient,
    lambda u, d, g: expand(u, shape=g.shape),
    reads=("",), add=_add_bias_gradient)

_linear = Operation(
    "linear", _linear_value,
    lambda g, y, x, weight, bias=None: linear_input_gradient(g, weight),
    lambda g, y, x, weight, bias=None: linear_weight_gradient(g, x),
    lambda g, y, x, weight, bias: linear_bias_gradient(g),
    reads=("1", "0", ""),
    adds={1: lambda total, g, y, x, weight, bias=None: linear_weight_gradient.add_to(total, g, x),
          2: lambda total, g, y, x, weight, bias: linear_bias_gradient.add_to(total, g)})


def linear(x, weight, bias=None):
    """y = x weightᵀ + bias: (..., in) (out, in) (out,) -> (..., out).

    dx = g weight, dweight = gᵀ x, dbias = the sum of g over the rows. Raises ValueError for shapes that do
    not match and TypeError for differing dtypes.
    """
    return _linear(x, weight) if bias is None else _linear(x, weight, bias)
