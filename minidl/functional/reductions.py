"""Sums, means and extremes, over all elements or along axes.

``dim`` and ``keepdim`` are PyTorch's names, ``axis`` and ``keepdims`` NumPy's; both are accepted.
"""
from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .. import arrays
from ..autograd.tensor import Tensor
from .operation import Operation, no_derivative
from .selection import maximum, minimum
from .shapes import _unsqueeze, clone, expand_as, squeeze


class Extreme(NamedTuple):
    """The output of max and min along an axis: the values, and their indices."""

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
    """g, broadcast along the axes that a reduction has removed."""
    if dim is not None and not keepdim:
        g = _unsqueeze(g, dim=dim)
    return expand_as(g, x)


def _count(x, dim):
    """The number of elements that are averaged, in x's dtype."""
    return x.dtype.type(math.prod(x.shape) if dim is None else np.prod([x.shape[d] for d in np.atleast_1d(dim)]))


_over_count = Operation(
    "over_count", lambda g, x, dim: g / _count(x, dim), lambda u, d, g, x, dim: _over_count(u, x, dim=dim),
    no_derivative, reads=("", ""))


def _mean_value(x, dim=None, keepdim=False):
    if x.dtype.kind != "f":
        raise TypeError(f"mean: expected floats, got {x.dtype}")
    return arrays.summed(x, dim, keepdim) / _count(x, dim)


_sum = Operation(
    "sum", arrays.summed,
    lambda g, y, x, dim=None, keepdim=False: _spread(g, x, dim, keepdim),
    reads=("",))
_mean = Operation(
    "mean", _mean_value,
    lambda g, y, x, dim=None, keepdim=False: _spread(_over_count(g, x, dim=dim), x, dim, keepdim),
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

_is_extreme = Operation(  # 1 where x is the extreme y and 0 elsewhere; if an x is NaN, y is
    "is_extreme", lambda x, y: ((x == y) | np.isnan(x)).astype(x.dtype))
_count_ones = Operation("count_ones", lambda x: x.dtype.type(np.count_nonzero(x)))


def _shared(g, y, x):
    """The gradient of the extreme of all elements: ties share it."""
    extreme = _is_extreme(x, y)
    return g * extreme / _count_ones(extreme)


def _pick(x, indices, dim, keepdim):
    values = np.take_along_axis(x, indices, dim)
    return values if keepdim else np.squeeze(values, dim)


def _put_value(g, x, indices, dim, keepdim):
    dx = np.zeros(x.shape, g.dtype)
    np.put_along_axis(dx, indices, g if keepdim else np.expand_dims(g, dim), dim)
    return dx


put = Operation(  # g at the indices along an axis of x, and zero elsewhere
    "put", _put_value,
    lambda u, d, g, x, indices, dim, keepdim: pick(u, indices, dim=dim, keepdim=keepdim), no_derivative, no_derivative,
    reads=("2", "", ""))


def _pick_along(name: str) -> Operation:
    return Operation(
        name, _pick,
        lambda g, y, x, indices, dim, keepdim: put(g, x, indices, dim=dim, keepdim=keepdim),
        no_derivative, reads=("1", ""))


pick = _pick_along("pick")


def _extreme(name: str, reduce, arg_reduce, of_two):
    over_all = Operation(name, reduce, _shared, reads=("0y",))
    along = _pick_along(name)

    def call(x, dim=None, keepdim=False, *, axis=None, keepdims=False):
        if isinstance(dim, (Tensor, np.ndarray)):
            return of_two(x, dim)
        dim, keepdim = _names(dim, keepdim, axis, keepdims)
        if dim is None:
            return over_all(x)
        if not isinstance(dim, (int, np.integer)):
            raise TypeError(f"{name}: expected one axis as dim, got {type(dim).__name__}")
        indices = arg_reduce(x, dim, keepdim=True)
        values = along(x, clone(indices), dim=dim, keepdim=keepdim)  # the caller may write into its own
        return Extreme(values, indices if keepdim else squeeze(indices, dim))

    call.__doc__ = (
        f"The {name} over all elements; with an axis, the pair (values, indices); with a Tensor in its place, "
        f"{name}imum. As in PyTorch.\n\n"
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


argmax = _untaped("argmax", np.argmax, "The index of the largest element (the first of several).")
argmin = _untaped("argmin", np.argmin, "The index of the smallest element (the first of several).")
all = _untaped("all", np.all, "Whether all elements are true.")
any = _untaped("any", np.any, "Whether any element is true.")

max = _extreme("max", np.max, argmax, maximum)
min = _extreme("min", np.min, argmin, minimum)
