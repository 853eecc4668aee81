"""Sums, means and extremes, over all elements or along axes.

``dim`` and ``keepdim`` are PyTorch's names, ``axis`` and ``keepdims`` NumPy's; both are taken.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..tensor import as_array
from .operation import Operation
from .shapes import squeeze


class Extreme(NamedTuple):
    """What max and min along an axis give: the values, and where they stand."""

    values: Any
    indices: Any


def _names(dim, keepdim, axis, keepdims):
    """(dim, keepdim), by whichever names they were given."""
    if dim is not None and axis is not None:
        raise TypeError("give dim or axis, not both")
    dim = axis if dim is None else dim
    return tuple(dim) if isinstance(dim, list) else dim, bool(keepdim or keepdims)


# Sums and means

def _spread(g, x, dim, keepdim):
    """g, given back the axes that a reduction took."""
    if dim is not None and not keepdim:
        g = np.expand_dims(g, dim)
    return np.broadcast_to(g, x.shape)


def _count(x, dim):
    """The number of elements that go into a mean, in x's dtype."""
    return x.dtype.type(x.size if dim is None else np.prod([x.shape[d] for d in np.atleast_1d(dim)]))


def _mean_value(x, dim=None, keepdim=False):
    if x.dtype.kind != "f":
        raise TypeError(f"mean: expected floats, got {x.dtype}")
    return np.sum(x, axis=dim, keepdims=keepdim) / _count(x, dim)


_sum = Operation(
    "sum", lambda x, dim=None, keepdim=False: np.sum(x, axis=dim, keepdims=keepdim),
    lambda g, y, x, dim=None, keepdim=False: _spread(g, x, dim, keepdim),
    reads=("",))
_mean = Operation(
    "mean", _mean_value,
    lambda g, y, x, dim=None, keepdim=False: _spread(g / _count(x, dim), x, dim, keepdim),
    reads=("",))


def sum(x, dim=None, keepdim=False, *, axis=None, keepdims=False):
    """The sum over all elements, or along one axis or several."""
    dim, keepdim = _names(dim, keepdim, axis, keepdims)
    return _sum(x, dim=dim, keepdim=keepdim)


def mean(x, dim=None, keepdim=False, *, axis=None, keepdims=False):
    """The mean over all elements, or along one axis or several. TypeError for what are no floats."""
    dim, keepdim = _names(dim, keepdim, axis, keepdims)
    return _mean(x, dim=dim, keepdim=keepdim)


# Extremes

def _shared(g, y, x):
    """The gradient of the extreme of all elements: ties share it."""
    extreme = (x == y) | np.isnan(x)  # if one is NaN, y is
    return g * extreme / x.dtype.type(np.count_nonzero(extreme))


def _pick(x, indices, dim, keepdim):
    values = np.take_along_axis(x, indices, dim)
    return values if keepdim else np.squeeze(values, dim)


def _put(g, y, x, indices, dim, keepdim):
    dx = np.zeros_like(x)
    np.put_along_axis(dx, indices, g if keepdim else np.expand_dims(g, dim), dim)
    return dx


def _extreme(name: str, reduce, arg_reduce):
    over_all = Operation(name, reduce, _shared, reads=("0y",))
    along = Operation(name, _pick, _put, reads=("",))

    def call(x, dim=None, keepdim=False, *, axis=None, keepdims=False):
        dim, keepdim = _names(dim, keepdim, axis, keepdims)
        if dim is None:
            return over_all(x)
        if not isinstance(dim, (int, np.integer)):
            raise TypeError(f"{name}: expected one axis as dim, got {type(dim).__name__}")
        indices = arg_reduce(x, dim, keepdim=True)
        kept = as_array(indices).copy()  # the caller may write into those that it gets
        values = along(x, indices=kept, dim=dim, keepdim=keepdim)
        return Extreme(values, indices if keepdim else squeeze(indices, dim))

    call.__doc__ = (
        f"The {name} over all elements; with an axis, the pair (values, indices), as in PyTorch.\n\n"
        "    Over all, ties share the gradient; along an axis the first of them receives it.")
    return call


# Without a derivative

def _untaped(name: str, reduce, doc: str):
    operation = Operation(name, reduce)

    def call(x, dim=None, keepdim=False, *, axis=None, keepdims=False):
        dim, keepdim = _names(dim, keepdim, axis, keepdims)
        return operation(x, axis=dim, keepdims=keepdim)

    call.__doc__ = doc
    return call


argmax = _untaped("argmax", np.argmax, "Where the largest element stands (the first of several).")
argmin = _untaped("argmin", np.argmin, "Where the smallest element stands (the first of several).")
all = _untaped("all", np.all, "Whether all elements are true.")
any = _untaped("any", np.any, "Whether any element is true.")

max = _extreme("max", np.max, argmax)
min = _extreme("min", np.min, argmin)
