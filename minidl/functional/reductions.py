"""Sums, means and extremes, over all elements or along axes.

``dim`` and ``keepdim`` are PyTorch's names, ``axis`` and ``keepdims`` NumPy's; both are taken.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .operation import Operation


class Extreme(NamedTuple):
    """What max and min along an axis give: the values, and where they stand."""

    values: object
    indices: np.ndarray


def _spread(g, x, dim, keepdim):
    """g, given back the axes that a reduction took."""
    if dim is not None and not keepdim:
        g = np.expand_dims(g, dim)
    return np.broadcast_to(g, x.shape)


def _count(x, dim) -> int:
    return x.size if dim is None else int(np.prod([x.shape[d] for d in np.atleast_1d(dim)]))


def _sum_value(x, dim=None, keepdim=False):
    return np.sum(x, axis=dim, keepdims=keepdim)


def _mean_value(x, dim=None, keepdim=False):
    return np.sum(x, axis=dim, keepdims=keepdim) / x.dtype.type(_count(x, dim))


_sum = Operation(
    "sum", _sum_value, lambda g, y, x, dim=None, keepdim=False: _spread(g, x, dim, keepdim))
_mean = Operation(
    "mean", _mean_value,
    lambda g, y, x, dim=None, keepdim=False: _spread(g / x.dtype.type(_count(x, dim)), x, dim, keepdim))


def _extreme(name: str, reduce, arg_reduce):
    """Over all: the gradient is shared by ties. Along an axis: it goes to the one that is named."""
    over_all = Operation(
        name, lambda x: reduce(x),
        lambda g, y, x: g * (x == y) / x.dtype.type(np.count_nonzero(x == y)))

    def pick(x, indices, dim, keepdim):
        values = np.take_along_axis(x, indices, dim)
        return values if keepdim else np.squeeze(values, dim)

    def put(g, y, x, indices, dim, keepdim):
        dx = np.zeros_like(x)
        np.put_along_axis(dx, indices, g if keepdim else np.expand_dims(g, dim), dim)
        return dx

    along = Operation(name, pick, put)

    def call(x, dim=None, keepdim=False, *, axis=None, keepdims=False):
        dim, keepdim = _names(dim, keepdim, axis, keepdims)
        if dim is None:
            return over_all(x)
        data = x if isinstance(x, np.ndarray) else x.data
        indices = np.expand_dims(arg_reduce(data, axis=dim), dim)
        values = along(x, indices=indices, dim=dim, keepdim=keepdim)
        return Extreme(values, indices if keepdim else np.squeeze(indices, dim))

    call.__doc__ = f"The {name}; with an axis, the pair (values, indices), as in PyTorch."
    return call


max = _extreme("max", np.max, np.argmax)
min = _extreme("min", np.min, np.argmin)


def sum(x, dim=None, keepdim=False, *, axis=None, keepdims=False):
    """The sum over all elements, or along one axis or several."""
    dim, keepdim = _names(dim, keepdim, axis, keepdims)
    return _sum(x, dim=dim, keepdim=keepdim)


def mean(x, dim=None, keepdim=False, *, axis=None, keepdims=False):
    """The mean over all elements, or along one axis or several."""
    dim, keepdim = _names(dim, keepdim, axis, keepdims)
    return _mean(x, dim=dim, keepdim=keepdim)


def argmax(x, dim=None, keepdim=False, *, axis=None, keepdims=False) -> np.ndarray:
    """Where the largest element stands: an array of indices, without a gradient."""
    dim, keepdim = _names(dim, keepdim, axis, keepdims)
    return np.argmax(x if isinstance(x, np.ndarray) else x.data, axis=dim, keepdims=keepdim)


def _names(dim, keepdim, axis, keepdims):
    if dim is not None and axis is not None:
        raise TypeError("give dim or axis, not both")
    dim = axis if dim is None else dim
    return tuple(dim) if isinstance(dim, list) else dim, bool(keepdim or keepdims)
