"""Selecting elements: by bounds, by a mask, by indices along an axis, by their order."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..autograd.tensor import as_array
from .elementwise import where
from .operation import Operation, no_derivative
from .shapes import index

__all__ = ["argsort", "clamp", "gather", "index_select", "masked_fill", "maximum", "minimum", "scatter_add", "sort",
           "topk"]


_select = index  # a name that no argument hides


class Sorted(NamedTuple):
    """The output of sort and topk: the values, and their indices."""

    values: Any
    indices: Any


def clamp(x, min=None, max=None):
    """x within [min, max], numbers or Tensors that are broadcast to it; slope 1 at the bounds. NaN stays NaN.

    ValueError if neither bound is given.
    """
    if min is None and max is None:
        raise ValueError("clamp: expected min or max, got neither")
    if min is not None:
        x = where(x < min, min, x)
    return x if max is None else where(x > max, max, x)


def maximum(a, b):
    """The larger of a and b, element by element; where they are equal, each gets half of the gradient."""
    return where(a > b, a, where(a < b, b, 0.5 * a + 0.5 * b))


def minimum(a, b):
    """The smaller of a and b, element by element; where they are equal, each gets half of the gradient."""
    return where(a < b, a, where(a > b, b, 0.5 * a + 0.5 * b))


def masked_fill(x, mask, value):
    """x with the value, a number, where the mask of booleans is true."""
    return where(mask, value, x)


def _places(name: str, indices, dim: int, size: int) -> tuple:
    """What picks x[.., indices, ..]. IndexError for an index outside 0..size-1."""
    wrong = indices[(indices < 0) | (indices >= size)]
    if wrong.size:
        raise IndexError(f"{name}: expected indices from 0 to {size - 1}, got {wrong.flat[0]}")
    places = list(np.indices(indices.shape, sparse=True))
    places[dim] = indices
    return tuple(places)


def _gather_value(x, indices, dim):
    return x[_places("gather", indices, dim, x.shape[dim])]


def _gather_gradient_value(g, x, indices, dim):
    dx = np.zeros(x.shape, g.dtype)
    np.add.at(dx, _places("gather", indices, dim, x.shape[dim]), g)
    return dx


def _scatter_add_value(x, indices, src, dim):
    y = x.copy()
    np.add.at(y, _places("scatter_add", indices, dim, x.shape[dim]), src)
    return y


gather_gradient = Operation(  # g added up at the places where it was gathered
    "gather_gradient", _gather_gradient_value,
    lambda u, d, g, x, indices, dim: _gather(u, indices, dim=dim), no_derivative, no_derivative, reads=("2", "", ""))
_gather = Operation(
    "gather", _gather_value, lambda g, y, x, indices, dim: gather_gradient(g, x, indices, dim=dim), no_derivative,
    reads=("1", ""))
_scatter_add = Operation(
    "scatter_add", _scatter_add_value, lambda g, y, x, indices, src, dim: g, no_derivative,
    lambda g, y, x, indices, src, dim: _gather(g, indices, dim=dim), reads=("", "", "1"))


def _checked(name: str, x, dim: int, indices) -> int:
    if indices.ndim != x.ndim or as_array(indices).dtype.kind not in "iu":
        raise ValueError(f"{name}: expected indices of integers with {x.ndim} axes, got {indices.dtype} with shape "
                         f"{tuple(indices.shape)}")
    return normalize_axis_index(dim, x.ndim, name)


def gather(x, dim: int, index):
    """y[i, j] = x[i, index[i, j]] for dim 1, and alike for other axes: y has the shape of the index."""
    return _gather(x, index, dim=_checked("gather", x, dim, index))


def scatter_add(x, dim: int, index, src):
    """x with src[i, j] added at [i, index[i, j]] for dim 1, and alike for other axes. src may be larger than index."""
    dim = _checked("scatter_add", x, dim, index)
    if tuple(src.shape) != tuple(index.shape):
        src = src[tuple([slice(n) for n in index.shape])]
    return _scatter_add(x, index, src, dim=dim)


def index_select(x, dim: int, index):
    """The slices of x along ``dim`` that the index, of integers (N,), names."""
    return _select(x, (*[slice(None)] * normalize_axis_index(dim, x.ndim, "index_select"), index))


# Order

def _order(x, dim, descending):
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    return np.flip(x.shape[dim] - 1 - np.argsort(np.flip(x, dim), axis=dim, kind="stable"), dim).copy()


_argsort = Operation("argsort", _order)
_first = Operation("first", lambda x, k, dim: np.take(x, np.arange(k), axis=dim))


def argsort(x, dim: int = -1, descending: bool = False):
    """The indices that sort x along an axis; equal elements keep their order, NaN counts as the largest."""
    return _argsort(x, dim=dim, descending=descending)


def sort(x, dim: int = -1, descending: bool = False):
    """(values, indices) of x sorted along an axis, as argsort has it."""
    dim = normalize_axis_index(dim, x.ndim, "sort")
    indices = argsort(x, dim, descending)
    return Sorted(_gather(x, indices, dim=dim), indices)


def topk(x, k: int, dim: int = -1, largest: bool = True, sorted: bool = True):
    """(values, indices) of the k largest, or smallest, along an axis, in their order, whatever ``sorted`` says."""
    dim = normalize_axis_index(dim, x.ndim, "topk")
    if not 0 <= k <= x.shape[dim]:
        raise ValueError(f"topk: expected k from 0 to {x.shape[dim]}, got {k}")
    indices = _first(argsort(x, dim, largest), k=k, dim=dim)
    return Sorted(_gather(x, indices, dim=dim), indices)
