"""Powers and logarithms of other names: squares, reciprocals, logarithms near 1 and to other bases, and log Σ e^x."""
from __future__ import annotations

import math

import numpy as np

from .elementwise import exp, log, sqrt, where
from .operation import Operation
from .reductions import sum
from .shapes import reshape
from .statistics import amax

__all__ = ["expm1", "log1p", "log2", "log10", "logsumexp", "reciprocal", "rsqrt", "square"]

log1p = Operation("log1p", np.log1p, lambda g, y, x: g / (1 + x), reads=("0",))
expm1 = Operation("expm1", np.expm1, lambda g, y, x: g * (y + 1), reads=("y",))


def square(x):
    """x²."""
    return x * x


def reciprocal(x):
    """1 / x."""
    return 1 / x


def rsqrt(x):
    """1 / √x."""
    return 1 / sqrt(x)


def log2(x):
    """log x / log 2."""
    return log(x) * (1 / math.log(2))


def log10(x):
    """log x / log 10."""
    return log(x) * (1 / math.log(10))


def logsumexp(x, dim, keepdim: bool = False):
    """log Σ e^x along an axis or several: the largest x is taken out, so that nothing overflows."""
    dim = tuple(dim) if isinstance(dim, list) else dim
    largest = amax(x, dim, True)
    largest = getattr(largest, "detach", lambda: largest)()
    largest = where((largest < math.inf) & (largest > -math.inf), largest, 0.0)
    y = log(sum(exp(x - largest), dim, True)) + largest
    return y if keepdim else reshape(y, sum(x, dim).shape)
