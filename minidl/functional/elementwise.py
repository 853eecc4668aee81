"""Arithmetic and comparisons, broadcast as NumPy does, and the elementary functions."""
from __future__ import annotations

import numpy as np

from .. import arrays
from .operation import Operation, no_derivative

# Constants of a shape

zeros_like = Operation("zeros_like", np.zeros_like, arity=1)
ones_like = Operation("ones_like", np.ones_like, arity=1)
_zeros_of = Operation("zeros_of", lambda x, shape: np.zeros(shape, x.dtype), arity=1)


def zeros_of(x, shape: tuple[int, ...]):
    """Zeros of a shape, in x's dtype."""
    return _zeros_of(x, shape=shape)


# Arithmetic

add = Operation("add", np.add, lambda g, y, a, b: g, lambda g, y, a, b: g, reads=("", ""), kernel="add")
sub = Operation("sub", np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g, reads=("", ""), kernel="subtract")
mul = Operation(
    "mul", np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a, reads=("1", "0"), kernel="multiply")
div = Operation(
    "div", np.true_divide, lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b, reads=("1", "1y"), kernel="divide")
neg = Operation("neg", np.negative, lambda g, y, a: -g, reads=("",), kernel="negative")
sign = Operation("sign", np.sign, lambda g, y, a: zeros_like(a), reads=("",), kernel="sign")
abs = Operation("abs", np.abs, lambda g, y, a: g * sign(a), reads=("0",), kernel="absolute")
sqrt = Operation("sqrt", np.sqrt, lambda g, y, a: g / (2 * y), reads=("y",), kernel="sqrt")
exp = Operation("exp", arrays.unary("exp"), lambda g, y, a: g * y, reads=("y",), kernel="exp")
log = Operation("log", arrays.unary("log"), lambda g, y, a: g / a, reads=("0",), kernel="log")

# Comparisons, without a derivative

lt, le = Operation("lt", np.less, arity=2), Operation("le", np.less_equal, arity=2)
gt, ge = Operation("gt", np.greater, arity=2), Operation("ge", np.greater_equal, arity=2)
eq, ne = Operation("eq", np.equal, arity=2), Operation("ne", np.not_equal, arity=2)


def _where_value(c, a, b):
    if np.asarray(c).dtype != bool:
        raise TypeError(f"where: expected a condition of bool, got {np.asarray(c).dtype}")
    return np.where(c, a, b)


where = Operation(
    "where", _where_value,
    no_derivative,
    lambda g, y, c, a, b: where(c, g, 0),
    lambda g, y, c, a, b: where(c, 0, g),
    reads=("", "0", "0"))

# Powers

def _base_gradient(g, a, b):
    # Where b is 0 the power is left out, since 0 * 0^-1 is not a number.
    b = np.asarray(b, g.dtype)
    return g * b * np.power(a, np.where(b == 0, b, b - 1))


def _exponent_gradient(g, y, a, b):
    # The limit at a = 0 is 0 unless b is below zero.
    a = np.asarray(a, g.dtype)
    return g * y * np.log(np.where((a == 0) & (b >= 0), 1, a))


def _one_less(b):
    """b - 1, and 0 where b is 0: the exponent of the derivative, whose factor is b."""
    if isinstance(b, (int, float)):
        return b - 1 if b else b
    return where(b == 0, b, b - 1)


def _is_vanishing(a, b):
    return where(a == 0, b >= 0, False)


# g b a^(b-1)
pow_base_gradient = Operation(
    "pow_base_gradient", _base_gradient,
    lambda u, d, g, a, b: pow_base_gradient(u, a, b),
    lambda u, d, g, a, b: pow_base_gradient(u * g * b, a, _one_less(b)),
    lambda u, d, g, a, b: u * g * (pow(a, b - 1) + b * pow_exponent_gradient(ones_like(g), pow(a, b - 1), a, b - 1)),
    reads=("12", "012", "012"))

# g y log a, for y = a^b
pow_exponent_gradient = Operation(
    "pow_exponent_gradient", _exponent_gradient,
    lambda u, d, g, y, a, b: pow_exponent_gradient(u, y, a, b),
    lambda u, d, g, y, a, b: pow_exponent_gradient(u * g, ones_like(y), a, b),
    lambda u, d, g, y, a, b: u * g * where(_is_vanishing(a, b), 0, y) / where(_is_vanishing(a, b), 1, a),
    lambda u, d, g, y, a, b: zeros_like(b),
    reads=("123", "023", "0123", ""))

pow = Operation(
    "pow", np.power,
    lambda g, y, a, b: pow_base_gradient(g, a, b),
    lambda g, y, a, b: pow_exponent_gradient(g, y, a, b),
    reads=("01", "01y"))
