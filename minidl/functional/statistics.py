"""Variances, norms, products, running sums and extremes along axes."""
from __future__ import annotations

import math

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .elementwise import abs, exp, log, sign, sqrt, where
from .operation import Operation
from .reductions import _is_extreme, _names, _spread, mean, sum
from .shapes import cat, clone, index, reshape

__all__ = ["amax", "amin", "cumsum", "norm", "prod", "std", "var"]


def var(x, dim=None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None):
    """The mean squared distance from the mean, over all or along axes, divided by n - correction: by default n - 1,
    or n without ``unbiased``. NaN where that is not above 0.
    """
    dim = tuple(dim) if isinstance(dim, list) else dim
    count = math.prod(x.shape) if dim is None else math.prod([x.shape[d] for d in np.atleast_1d(dim)])
    divisor = count - (float(unbiased) if correction is None else correction)
    distance = x - mean(x, dim, True)
    squares = sum(distance * distance, dim, keepdim)
    return squares / divisor if divisor > 0 else squares * math.nan


def std(x, dim=None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None):
    """The square root of var."""
    return sqrt(var(x, dim, unbiased, keepdim, correction=correction))


def _extreme_along(name: str, reduce) -> Operation:
    def gradient(g, y, x, dim=None, keepdim=False):
        extreme = _is_extreme(x, _spread(y, x, dim, keepdim))
        return _spread(g / sum(extreme, dim, keepdim), x, dim, keepdim) * extreme

    return Operation(name, lambda x, dim=None, keepdim=False: reduce(x, axis=dim, keepdims=keepdim), gradient,
                     reads=("0y",))


_amax, _amin = _extreme_along("amax", np.max), _extreme_along("amin", np.min)


def amax(x, dim=None, keepdim: bool = False, *, axis=None, keepdims: bool = False):
    """The largest over all or along axes, of which several that are equal share the gradient."""
    dim, keepdim = _names(dim, keepdim, axis, keepdims)
    return _amax(x, dim=dim, keepdim=keepdim)


def amin(x, dim=None, keepdim: bool = False, *, axis=None, keepdims: bool = False):
    """The smallest over all or along axes, of which several that are equal share the gradient."""
    dim, keepdim = _names(dim, keepdim, axis, keepdims)
    return _amin(x, dim=dim, keepdim=keepdim)


def norm(x, p="fro", dim=None, keepdim: bool = False):
    """(Σ |x|^p)^(1/p) over all or along axes; "fro" is p = 2, infinity the largest |x|. Its derivative at 0 is 0.

    As torch.norm has it: of vectors. ValueError for another text.
    """
    if isinstance(p, str) and p != "fro":
        raise ValueError(f"norm: expected p as a number or 'fro', got {p!r}")
    p = 2.0 if p == "fro" else float(p)
    if p == 2:
        return _root(sum(x * x, dim, keepdim))
    size = abs(x)
    if math.isinf(p):
        return (amax if p > 0 else amin)(size, dim, keepdim)
    if p == 0:
        return sum(where(x != x, 1.0, sign(size)), dim, keepdim)  # NaN is not 0
    return sum(size, dim, keepdim) if p == 1 else _power(sum(_power(size, p), dim, keepdim), 1 / p)


def _root(x):
    """√x, whose derivative at 0 is 0."""
    return where(x == 0, 0.0, sqrt(where(x == 0, 1.0, x)))


def _power(x, p: float):
    """x^p for x of at least 0, whose derivative at 0 is 0."""
    return where(x == 0, 0.0, exp(log(where(x == 0, 1.0, x)) * p))


def prod(x, dim: int | None = None, keepdim: bool = False):
    """The product over all elements, or along an axis: of halves, again and again, so that zeros have a gradient."""
    shape = list(x.shape)
    if dim is None:
        x, axis, shape = reshape(x, -1), 0, []
    else:
        axis = normalize_axis_index(dim, x.ndim, "prod")
        shape[axis:axis + 1] = [1] if keepdim else []

    def part(x, *ends):
        return index(x, (*[slice(None)] * axis, slice(*ends)))

    if not x.shape[axis]:
        return sum(x, axis, keepdim and dim is not None) + 1
    while x.shape[axis] > 1:
        n = x.shape[axis]
        half = n // 2
        y = part(x, 0, half) * part(x, half, 2 * half)
        if n % 2:  # into the first, so that the others need no copy
            first = part(y, 0, 1) * part(x, n - 1, n)
            y = first if half == 1 else cat([first, part(y, 1, half)], axis)
        x = y
    return reshape(x, tuple(shape))


def _reversed(g, dim: int):
    return index(g, (*[slice(None)] * dim, slice(None, None, -1)))


_cumsum = Operation(
    "cumsum", lambda x, dim: np.cumsum(x, axis=dim),
    lambda g, y, x, dim: _reversed(_cumsum(_reversed(g, dim), dim=dim), dim), reads=("",))


def cumsum(x, dim: int):
    """y[i] = x[0] + ... + x[i] along an axis."""
    dim = normalize_axis_index(dim, x.ndim or 1, "cumsum")
    return _cumsum(x, dim=dim) if x.ndim else clone(x)
