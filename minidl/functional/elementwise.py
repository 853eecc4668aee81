"""Arithmetic, broadcast as NumPy does, and the elementwise functions."""
from __future__ import annotations

import numpy as np

from .. import arrays
from .operation import Operation, fit

# Arithmetic

add = Operation("add", np.add, lambda g, y, a, b: fit(g, a), lambda g, y, a, b: fit(g, b))
sub = Operation("sub", np.subtract, lambda g, y, a, b: fit(g, a), lambda g, y, a, b: fit(-g, b))
mul = Operation("mul", np.multiply, lambda g, y, a, b: fit(g * b, a), lambda g, y, a, b: fit(g * a, b))
div = Operation("div", np.true_divide, lambda g, y, a, b: fit(g / b, a), lambda g, y, a, b: fit(-g * y / b, b))


def _power_of_base(g, y, a, b):
    # g b a^(b-1); where b is 0 the power is left out, since 0 * 0^-1 is not a number.
    b = np.asarray(b, y.dtype)
    return fit(g * b * np.power(a, np.where(b == 0, b, b - 1)), a)


def _power_of_exponent(g, y, a, b):
    # g a^b log a, whose limit at a = 0 is 0.
    a = np.asarray(a, y.dtype)
    return fit(g * y * np.log(np.where(a == 0, np.ones_like(a), a)), b)


pow = Operation("pow", np.power, _power_of_base, _power_of_exponent)
neg = Operation("neg", np.negative, lambda g, y, a: -g)
abs = Operation("abs", np.abs, lambda g, y, a: g * np.sign(a))
sqrt = Operation("sqrt", np.sqrt, lambda g, y, a: g / (2 * y))
exp = Operation("exp", arrays.exp, lambda g, y, a: g * y)
log = Operation("log", arrays.log, lambda g, y, a: g / a)
where = Operation(
    "where", np.where,
    lambda g, y, c, a, b: None,
    lambda g, y, c, a, b: fit(np.where(c, g, np.zeros_like(g)), a),
    lambda g, y, c, a, b: fit(np.where(c, np.zeros_like(g), g), b))

# Activations

relu = Operation("relu", arrays.relu, lambda g, y, x: arrays.relu_backward(g, x))
tanh = Operation("tanh", arrays.tanh, lambda g, y, x: arrays.tanh_backward(g, y))
sigmoid = Operation("sigmoid", arrays.sigmoid, lambda g, y, x: arrays.sigmoid_backward(g, y))
selu = Operation("selu", arrays.selu, lambda g, y, x: arrays.selu_backward(g, x))
elu = Operation(
    "elu",
    lambda x, alpha=1.0: arrays.elu(x, alpha),
    lambda g, y, x, alpha=1.0: arrays.elu_backward(g, x, alpha),
    settings=("alpha",))
leaky_relu = Operation(
    "leaky_relu",
    lambda x, negative_slope=0.01: arrays.leaky_relu(x, negative_slope),
    lambda g, y, x, negative_slope=0.01: arrays.leaky_relu_backward(g, x, negative_slope),
    settings=("negative_slope",))


# Functions of a row, along any axis


def _along(kernel):
    """A kernel of the last axis as a function along ``dim``."""
    def call(*inputs, dim=-1):
        if dim in (-1, inputs[0].ndim - 1):
            return kernel(*inputs)
        moved = (np.ascontiguousarray(np.moveaxis(x, dim, -1)) for x in inputs)
        return np.moveaxis(kernel(*moved), -1, dim)
    return call


_softmax_backward = _along(arrays.softmax_backward)
_log_softmax_backward = _along(arrays.log_softmax_backward)

softmax = Operation(
    "softmax", _along(arrays.softmax),
    lambda g, y, x, dim=-1: _softmax_backward(g, y, dim=dim),
    settings=("dim",))
log_softmax = Operation(
    "log_softmax", _along(arrays.log_softmax),
    lambda g, y, x, dim=-1: _log_softmax_backward(g, y, dim=dim),
    settings=("dim",))
