"""The matrix products: matmul of any ranks, and the linear layer."""
from __future__ import annotations

import numpy as np

from .. import arrays
from ..arrays import as_matrix
from .operation import Operation
from .shapes import expand_as, reshape

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
    dtype, size = x.dtype, weight.shape
    if (len(size) != 2 or x.shape[-1:] != size[1:] or dtype not in arrays.FLOATS or weight.dtype != dtype
            or (bias is not None and (bias.shape != size[:1] or bias.dtype != dtype))):
        raise _misfit(x, weight, bias)
    if x.ndim == 2:
        return arrays.linear(x, weight, bias)
    return arrays.linear(as_matrix(x), weight, bias).reshape(*x.shape[:-1], size[0])


def _misfit(x, weight, bias) -> Exception:
    """What is wrong with the inputs of linear."""
    shapes = [None if part is None else part.shape for part in (x, weight, bias)]
    if weight.ndim != 2 or x.shape[-1:] != weight.shape[1:] or shapes[2] not in (None, weight.shape[:1]):
        return ValueError(
            "linear: expected x (..., in), weight (out, in), bias (out,), got {}, {}, {}".format(*shapes))
    wrong = next(part.dtype for part in (x, weight, bias)
                 if part is not None and (part.dtype not in arrays.FLOATS or part.dtype != x.dtype))
    return TypeError(f"linear: expected one float dtype, got {wrong} beside {x.dtype}")


def _input_gradient(g, weight):
    if g.ndim == 2:
        return arrays.linear_input_gradient(g, weight)
    return arrays.linear_input_gradient(as_matrix(g), weight).reshape(*g.shape[:-1], weight.shape[1])


def _add_weight_gradient(total, g, x):
    arrays.add_linear_gradients(as_matrix(x), as_matrix(g), total, None)


def _add_bias_gradient(total, g):
    arrays.add_column_sum(as_matrix(g), total)


def _weight_gradient(g, x):
    total = np.zeros((x.shape[-1], g.shape[-1]), g.dtype).T  # in the memory order of a Linear's weight
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
    lambda u, d, g: expand_as(u, g),
    reads=("",), add=_add_bias_gradient)



def _add_all(totals, g, y, x, weight, bias=None):
    """Add to the gradients of weight and bias, for arrays in one call."""
    _, dweight, dbias = totals if bias is not None else (*totals, None)
    if type(g) is np.ndarray and dweight is not None and dbias is not None:
        if g.ndim != 2:
            x, g = as_matrix(x), as_matrix(g)
        arrays.add_linear_gradients(x, g, dweight._grad, dbias._grad)
        dweight.status.has_grad = dbias.status.has_grad = True
        return
    if dweight is not None:
        linear_weight_gradient.add_to(dweight, g, x)
    if dbias is not None:
        linear_bias_gradient.add_to(dbias, g)


_linear = Operation(
    "linear", _linear_value,
    lambda g, y, x, weight, bias=None: linear_input_gradient.of(g, weight),
    lambda g, y, x, weight, bias=None: linear_weight_gradient.of(g, x),
    lambda g, y, x, weight, bias: linear_bias_gradient(g),
    reads=("1", "0", ""), adds=(1, 2), add_all=_add_all)


def linear(x, weight, bias=None):
    """y = x weightᵀ + bias: (..., in) (out, in) (out,) -> (..., out).

    dx = g weight, dweight = gᵀ x, dbias = the sum of g over the rows. Raises ValueError for shapes that do
    not match and TypeError for differing dtypes.
    """
    return _linear(x, weight) if bias is None else _linear(x, weight, bias)
