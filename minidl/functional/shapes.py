"""Reshaping, indexing and joining: the value moves elements, the derivative moves them back."""
from __future__ import annotations

import math

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..tensor import Tensor
from .operation import Joining, Operation

# Shapes

_reshape = Operation(
    "reshape", lambda x, shape: x.reshape(shape), lambda g, y, x, shape: g.reshape(x.shape),
    reads=("",), views=True)
_permute = Operation(
    "permute", lambda x, dims: x.transpose(dims), lambda g, y, x, dims: g.transpose(np.argsort(dims)),
    reads=("",), views=True)


def _flat(numbers) -> tuple[int, ...]:
    """The numbers of f(x, 2, 3) and of f(x, (2, 3))."""
    together = len(numbers) == 1 and not isinstance(numbers[0], (int, np.integer))
    return tuple(numbers[0]) if together else numbers


def reshape(x, *shape):
    """x with another shape, in the same order; one length may be -1."""
    return _reshape(x, shape=_flat(shape))


def permute(x, *dims):
    """x with its axes in the order ``dims``. ValueError unless they are all of its axes."""
    dims = normalize_axis_tuple(_flat(dims), x.ndim, "permute")
    if len(dims) != x.ndim:
        raise ValueError(f"permute: expected {x.ndim} axes, got {dims}")
    return _permute(x, dims=dims)


def transpose(x, dim0: int, dim1: int):
    """x with two axes exchanged."""
    dim0, dim1 = (normalize_axis_index(dim, x.ndim, "transpose") for dim in (dim0, dim1))
    dims = list(range(x.ndim))
    dims[dim0], dims[dim1] = dim1, dim0
    return _permute(x, dims=tuple(dims))


def flatten(x, start_dim: int = 0, end_dim: int = -1):
    """x with the axes from start_dim to end_dim as one; a number as one element."""
    if x.ndim == 0:
        return reshape(x, 1)
    start, end = (normalize_axis_index(dim, x.ndim, "flatten") for dim in (start_dim, end_dim))
    if start > end:
        raise ValueError(f"flatten: expected start_dim <= end_dim, got {start_dim} and {end_dim}")
    return reshape(x, (*x.shape[:start], math.prod(x.shape[start:end + 1]), *x.shape[end + 1:]))


def squeeze(x, dim: int | None = None):
    """x without the axis ``dim``, or without all axes, of length one; longer ones stay."""
    dims = range(x.ndim) if dim is None else [normalize_axis_index(dim, x.ndim, "squeeze")]
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in dims))


def unsqueeze(x, dim: int):
    """x with a new axis of length one at ``dim``."""
    dim = normalize_axis_index(dim, x.ndim + 1, "unsqueeze")
    return reshape(x, (*x.shape[:dim], 1, *x.shape[dim:]))


# Indexing

def _is_basic(index) -> bool:
    basic = (int, np.integer, slice, type(None), type(Ellipsis))
    return all(isinstance(part, basic) for part in (index if isinstance(index, tuple) else (index,)))


def _scatter(g, y, x, index):
    dx = np.zeros(x.shape, g.dtype)
    if _is_basic(index):
        dx[index] = g
    else:  # an element may be picked more than once
        np.add.at(dx, index, g)
    return dx


_index = Operation("index", lambda x, index: x[index], _scatter, reads=("",), views=True)


def _unwrapped(part):
    return part._data if isinstance(part, Tensor) else part


def _kept(part):
    """A part of an index as the derivative may keep it: what the caller may write into is copied."""
    return np.array(_unwrapped(part)) if isinstance(part, (Tensor, np.ndarray, list)) else part


def index(x, where):
    """x[where], for any index that NumPy takes, and for Tensors of integers and booleans."""
    parts = where if isinstance(where, tuple) else (where,)
    plain = tuple(map(_kept if isinstance(x, Tensor) else _unwrapped, parts))
    return _index(x, index=plain if isinstance(where, tuple) else plain[0])


# Joining

def _cat_value(*inputs, dim):
    ends = np.cumsum([0, *(x.shape[dim] for x in inputs)])
    return np.concatenate(inputs, axis=dim), ends


def _cat_part(i, g, ends, *inputs, dim):
    return np.moveaxis(np.moveaxis(g, dim, 0)[ends[i]:ends[i + 1]], 0, dim)


_cat = Joining("cat", _cat_value, _cat_part, keeps=True, reads=("",))
_stack = Joining(
    "stack", lambda *inputs, dim: np.stack(inputs, axis=dim),
    lambda i, g, y, *inputs, dim: np.moveaxis(g, dim, 0)[i],
    reads=("",))


def cat(tensors, dim: int = 0, *, axis: int | None = None):
    """The tensors end to end along an axis that they have."""
    return _cat(*tensors, dim=dim if axis is None else axis)


def stack(tensors, dim: int = 0, *, axis: int | None = None):
    """The tensors, of one shape, side by side along a new axis."""
    return _stack(*tensors, dim=dim if axis is None else axis)


concatenate = concat = cat
