"""Arithmetic and comparisons, broadcast as NumPy does, and the elementwise functions."""
from __future__ import annotations

import numpy as np

from .. import arrays
from .operation import Operation

# Arithmetic

add = Operation("add", np.add, lambda g, y, a, b: g, lambda g, y, a, b: g, reads=("", ""))
sub = Operation("sub", np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g, reads=("", ""))
mul = Operation("mul", np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a, reads=("1", "0"))
div = Operation("div", np.true_divide, lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b, reads=("1", "1y"))


def _power_of_base(g, y, a, b):
    # g b a^(b-1); where b is 0 the power is left out, since 0 * 0^-1 is not a number.
    b = np.asarray(b, y.dtype)
    return g * b * np.power(a, np.where(b == 0, b, b - 1))


def _power_of_exponent(g, y, a, b):
    # g a^b log a, whose limit at a = 0 is 0 unless b is below zero.
    a = np.asarray(a, y.dtype)
    vanishing = (a == 0) & (b >= 0)
    return g * np.where(vanishing, 0, y) * np.log(np.where(vanishing, 1, a))


pow = Operation("pow", np.power, _power_of_base, _power_of_exponent, reads=("01", "01y"))
neg = Operation("neg", np.negative, lambda g, y, a: -g, reads=("",))
abs = Operation("abs", np.abs, lambda g, y, a: g * np.sign(a), reads=("0",))
sqrt = Operation("sqrt", np.sqrt, lambda g, y, a: g / (2 * y), reads=("y",))
exp = Operation("exp", arrays.exp, lambda g, y, a: g * y, reads=("y",))
log = Operation("log", arrays.log, lambda g, y, a: g / a, reads=("0",))


def _where_value(c, a, b):
    if np.asarray(c).dtype != bool:
        raise TypeError(f"where: expected a condition of bool, got {np.asarray(c).dtype}")
    return np.where(c, a, b)


where = Operation(
    "where", _where_value,
    lambda g, y, c, a, b: None,  # never asked: a condition has no gradient
    lambda g, y, c, a, b: np.where(c, g, 0),
    lambda g, y, c, a, b: np.where(c, 0, g),
    reads=("", "0", "0"))

# Comparisons, without a derivative

lt, le = Operation("lt", np.less), Operation("le", np.less_equal)
gt, ge = Operation("gt", np.greater), Operation("ge", np.greater_equal)
eq, ne = Operation("eq", np.equal), Operation("ne", np.not_equal)

# Activations

relu = Operation("relu", arrays.relu, lambda g, y, x: arrays.relu_backward(g, x), settings=("inplace",),
                 reads=("0",))
tanh = Operation("tanh", arrays.tanh, lambda g, y, x: arrays.tanh_backward(g, y), reads=("y",))
sigmoid = Operation("sigmoid", arrays.sigmoid, lambda g, y, x: arrays.sigmoid_backward(g, y), reads=("y",))
selu = Operation("selu", arrays.selu, lambda g, y, x: arrays.selu_backward(g, x), settings=("inplace",),
                 reads=("0",))
elu = Operation(
    "elu",
    lambda x, alpha=1.0: arrays.elu(x, alpha),
    lambda g, y, x, alpha=1.0: arrays.elu_backward(g, x, alpha),
    settings=("alpha", "inplace"), reads=("0",))
leaky_relu = Operation(
    "leaky_relu",
    lambda x, negative_slope=0.01: arrays.leaky_relu(x, negative_slope),
    lambda g, y, x, negative_slope=0.01: arrays.leaky_relu_backward(g, x, negative_slope),
    settings=("negative_slope", "inplace"), reads=("0",))


# Functions of a row, along any axis


def _along(kernel):
    """A kernel of the last axis as a function along ``dim``."""
    def call(*inputs, dim=-1):
        if dim in (-1, np.ndim(inputs[0]) - 1):
            return kernel(*inputs)
        moved = (np.ascontiguousarray(np.moveaxis(x, dim, -1)) for x in inputs)
        return np.moveaxis(kernel(*moved), -1, dim)
    return call


_softmax_backward = _along(arrays.softmax_backward)
_log_softmax_backward = _along(arrays.log_softmax_backward)

softmax = Operation(
    "softmax", _along(arrays.softmax),
    lambda g, y, x, dim=-1: _softmax_backward(g, y, dim=dim),
    settings=("dim",), reads=("y",))
log_softmax = Operation(
    "log_softmax", _along(arrays.log_softmax),
    lambda g, y, x, dim=-1: _log_softmax_backward(g, y, dim=dim),
    settings=("dim",), reads=("y",))
