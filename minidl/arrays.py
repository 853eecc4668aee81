"""The kernels on whole arrays: each allocates its result and takes arrays of any rank.

``of(name)`` finds the compiled kernel of an array's dtype. Elementwise kernels see any array as a
matrix; those of a row work along the last axis.
"""
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from . import kernels

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def compiled(name: str) -> dict[np.dtype, Callable]:
    """The kernel called ``name``, by dtype."""
    return {dtype: getattr(kernels.of(dtype), name) for dtype in FLOATS}


def unsupported(name: str, x) -> TypeError:
    came = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
    return TypeError(f"{name}: expected a float32 or float64 array, got {came}")


def as_matrix(x: np.ndarray) -> np.ndarray:
    """x as (rows, last axis), a view where its strides allow."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1]) if x.ndim else x.reshape(1, 1)


def unary(name: str) -> Callable:
    """x, *settings -> a new array of x's shape."""
    by_dtype = compiled(name)

    def call(x, *settings):
        try:
            kernel = by_dtype[x.dtype]
        except (AttributeError, KeyError):
            raise unsupported(name, x) from None
        y = np.empty(x.shape, x.dtype)
        if x.ndim == 2:
            kernel(x, y, *settings)
        else:
            kernel(as_matrix(x), as_matrix(y), *settings)
        return y

    return call


def binary(name: str) -> Callable:
    """dy, x, *settings -> a new array of x's shape."""
    by_dtype = compiled(name)

    def call(dy, x, *settings):
        try:
            kernel = by_dtype[x.dtype]
        except (AttributeError, KeyError):
            raise unsupported(name, x) from None
        dx = np.empty(x.shape, x.dtype)
        if x.ndim == 2:
            kernel(dy, x, dx, *settings)
        else:
            kernel(as_matrix(dy), as_matrix(x), as_matrix(dx), *settings)
        return dx

    return call


exp, log, tanh, sigmoid = map(unary, ("exp", "log", "tanh", "sigmoid"))
relu, leaky_relu, elu, selu = map(unary, ("relu", "leaky_relu", "elu", "selu"))
softmax, log_softmax = map(unary, ("softmax", "log_softmax"))
tanh_backward, sigmoid_backward = map(binary, ("tanh_backward", "sigmoid_backward"))
relu_backward, leaky_relu_backward = map(binary, ("relu_backward", "leaky_relu_backward"))
elu_backward, selu_backward = map(binary, ("elu_backward", "selu_backward"))
softmax_backward, log_softmax_backward = map(binary, ("softmax_backward", "log_softmax_backward"))

_matmul, _linear, _total = map(compiled, ("matmul", "linear", "total"))
_input_gradient = compiled("linear_input_gradient")
_weight_gradient, _column_sum = map(compiled, ("linear_weight_gradient", "column_sum"))


def total(x: np.ndarray) -> float:
    """The sum of all elements, one by one in the order of the index, in double."""
    return _total[x.dtype](as_matrix(x))


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a b over the last two axes, the axes before them broadcast: (..., M, K) (..., K, N) -> (..., M, N).

    Raises TypeError for differing dtypes and ValueError for shapes that do not match.
    """
    if a.dtype not in FLOATS or a.dtype != b.dtype:
        raise TypeError(f"matmul: expected two arrays of one float dtype, got {a.dtype} and {b.dtype}")
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise ValueError(f"matmul: expected shapes (..., M, K) and (..., K, N), got {a.shape} and {b.shape}")
    kernel = _matmul[a.dtype]
    if a.ndim == b.ndim == 2:
        c = np.empty((a.shape[0], b.shape[1]), a.dtype)
        kernel(a, b, c)
        return c
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    c = np.empty((*stack, a.shape[-2], b.shape[-1]), a.dtype)
    a, b = np.broadcast_to(a, stack + a.shape[-2:]), np.broadcast_to(b, stack + b.shape[-2:])
    for index in np.ndindex(stack):
        kernel(a[index], b[index], c[index])
    return c


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """x weightᵀ + bias: (N, I) (O, I) (O,) -> (N, O)."""
    y = np.empty((x.shape[0], weight.shape[0]), weight.dtype)
    _linear[weight.dtype](x, weight, bias, y)
    return y


def linear_input_gradient(dy: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """dx = dy weight: (N, O) (O, I) -> (N, I)."""
    dx = np.empty((dy.shape[0], weight.shape[1]), weight.dtype)
    _input_gradient[weight.dtype](dy, weight, dx)
    return dx


def add_weight_gradient(x: np.ndarray, dy: np.ndarray, dweight: np.ndarray) -> None:
    """dweight += dyᵀ x: (N, I) (N, O) -> (O, I)."""
    _weight_gradient[x.dtype](x, dy, dweight)


def add_column_sum(dy: np.ndarray, db: np.ndarray) -> None:
    """db += the sum of dy over its rows: (N, O) -> (O,)."""
    _column_sum[dy.dtype](dy, db)
