"""Reshaping, indexing and joining: the value moves elements, the derivative moves their gradients back."""
from __future__ import annotations

import math
import sys
from itertools import accumulate

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..autograd.tape import active_recorder, constant, recording
from ..autograd.tensor import Tensor
from .operation import ALL, Joining, Operation, no_derivative

# Shapes. Where a derivative needs the shape of an input, it takes the input itself: then a recording for one
# number of rows is right for another.

reshape_as = Operation(
    "reshape_as", lambda g, x: g.reshape(x.shape), lambda u, d, g, x: reshape_as(u, g), no_derivative, reads=("", ""),
    views=True)
expand_as = Operation(
    "expand_as", lambda g, x: np.broadcast_to(g, x.shape), lambda u, d, g, x: u, no_derivative, reads=("", ""),
    views=True)
_reshape = Operation(
    "reshape", lambda x, shape: x.reshape(shape), lambda g, y, x, shape: reshape_as(g, x),
    reads=("",), views=True)
_flatten = Operation(
    "flatten", lambda x, start, end: x.reshape(_flattened(x.shape, start, end)),
    lambda g, y, x, start, end: reshape_as(g, x), reads=("",), views=True)
_squeeze = Operation(
    "squeeze", lambda x, dims: np.squeeze(x, dims), lambda g, y, x, dims: reshape_as(g, x), reads=("",), views=True)
_unsqueeze = Operation(
    "unsqueeze", lambda x, dim: np.expand_dims(x, dim), lambda g, y, x, dim: reshape_as(g, x), reads=("",), views=True)
_permute = Operation(
    "permute", lambda x, dims: x.transpose(dims), lambda g, y, x, dims: _permute(g, dims=_inverse(dims)),
    reads=("",), views=True)


def _flattened(shape, start: int, end: int) -> tuple[int, ...]:
    """The shape with the axes from start to end as one."""
    return (*shape[:start], math.prod(shape[start:end + 1]), *shape[end + 1:])


def _inverse(dims) -> tuple[int, ...]:
    """The permutation that undoes another one."""
    return tuple(map(int, np.argsort(dims)))


def _flat(numbers) -> tuple[int, ...]:
    """The numbers, given as in f(x, 2, 3) or as in f(x, (2, 3))."""
    together = len(numbers) == 1 and not isinstance(numbers[0], (int, np.integer))
    return tuple(numbers[0]) if together else numbers


def reshape(x, *shape):
    """x with another shape, in the same order; one length may be -1. ValueError for other negative ones."""
    shape = _flat(shape)
    if any([length < -1 for length in shape]):  # which NumPy takes for -1
        raise ValueError(f"reshape: expected lengths from -1 on, got {tuple(shape)}")
    return _reshape(x, shape=shape)


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
    return _flatten(x, start=start, end=end)


def squeeze(x, dim: int | None = None):
    """x without the axis ``dim``, or without all axes, of length one; longer ones stay."""
    dims = range(x.ndim) if dim is None else [normalize_axis_index(dim, x.ndim, "squeeze")]
    return _squeeze(x, dims=tuple([i for i in dims if x.shape[i] == 1]))


def unsqueeze(x, dim: int):
    """x with a new axis of length one at ``dim``."""
    return _unsqueeze(x, dim=normalize_axis_index(dim, x.ndim + 1, "unsqueeze"))


# Indexing. The arrays in an index, of integers or booleans, are inputs; the setting ``index`` has their positions.

BASIC = (int, np.integer, slice, type(None), type(Ellipsis))


class _Array:
    """The position of an array in an index."""

    def __repr__(self) -> str:
        return "an array"


ARRAY = _Array()


def _filled(index, picks):
    """The index, with the arrays at their positions."""
    if not picks:
        return index
    rest = iter(picks)
    return tuple([next(rest) if part is ARRAY else part for part in index])


def _index_value(x, *picks, index):
    return x[_filled(index, picks)]


def _scatter_value(g, x, *picks, index):
    dx = np.zeros(x.shape, g.dtype)
    if not picks:
        dx[index] = g
    else:  # an element may be indexed more than once
        np.add.at(dx, _filled(index, picks), g)
    return dx


class _Picking(Operation):
    """An operation whose inputs after the first have no derivative; its derivative reads those from ``first`` on."""

    def __init__(self, name: str, value, derivative, first: int, *, views: bool = False):
        super().__init__(name, value, derivative, views=views, arity=math.inf, reads=(ALL[first:-1],))
        self.constants = range(1, sys.maxsize)

    def derivative(self, i: int):
        return self.derivatives[0] if i == 0 else no_derivative

    def reads_of(self, i: int) -> str:
        return self.reads[0] if i == 0 else ""


_index = _Picking(
    "index", _index_value, lambda g, y, x, *picks, index: scatter(g, x, *picks, index=index), 1, views=True)
scatter = _Picking(  # g at the elements of an index of x, and zero elsewhere
    "scatter", _scatter_value, lambda u, d, g, x, *picks, index: _index(u, *picks, index=index), 2)


def index(x, where):
    """x[where], for any index that NumPy takes, and for Tensors of integers and booleans.

    Arrays and lists in it are copied where the index is recorded: their owner may write into them.
    """
    parts = where if isinstance(where, tuple) else (where,)
    picks = [_pick_of(part, isinstance(x, Tensor)) for part in parts if not isinstance(part, BASIC)]
    if picks:
        where = tuple([part if isinstance(part, BASIC) else ARRAY for part in parts])
    return _index(x, *picks, index=where)


def _pick_of(part, recorded: bool):
    if isinstance(part, Tensor):
        return clone(part) if recorded else part._data
    if active_recorder() is not None:  # each replay reads the array where it lies
        array = np.asarray(part)
        if array is not part:
            constant(array)
        return array
    return np.array(part) if recorded else np.asarray(part)


def _index_put_value(x, value, *picks, index):
    y = x.copy()
    y[_filled(index, picks)] = value
    return y


_index_put = Operation("index_put", _index_put_value, arity=math.inf)


def index_put(x, where, value):
    """A copy of x in which x[where] is the value, broadcast to it; off the tape."""
    parts = where if isinstance(where, tuple) else (where,)
    picks = [_pick_of(part, isinstance(x, Tensor)) for part in parts if not isinstance(part, BASIC)]
    if picks:
        where = tuple([part if isinstance(part, BASIC) else ARRAY for part in parts])
    if isinstance(value, Tensor) and value.requires_grad and recording():
        raise RuntimeError("a Tensor that requires grad, or is given one, changes in place within no_grad() alone")
    return _index_put(x, value, *picks, index=where)


clone = Operation("clone", np.copy, lambda g, y, x: g, reads=("",))

# Joining

def _cat_part(i, g, y, *inputs, dim, ends):
    return g[(*[slice(None)] * dim, slice(ends[i], ends[i + 1]))]


def _stack_part(i, g, y, *inputs, dim):
    return g[(*[slice(None)] * dim, i)]


_cat = Joining("cat", lambda *inputs, dim, ends: np.concatenate(inputs, axis=dim), _cat_part, reads=("",))
_stack = Joining("stack", lambda *inputs, dim: np.stack(inputs, axis=dim), _stack_part, reads=("",))


def cat(tensors, dim: int = 0, *, axis: int | None = None):
    """Join the tensors along an existing axis."""
    tensors, dim = list(tensors), dim if axis is None else axis
    if not any(isinstance(x, Tensor) for x in tensors):
        return np.concatenate(tensors, axis=dim)
    dim = normalize_axis_index(dim, np.ndim(tensors[0]))
    ends = tuple(accumulate((np.shape(x)[dim] for x in tensors), initial=0))
    return _cat(*tensors, dim=dim, ends=ends)


def stack(tensors, dim: int = 0, *, axis: int | None = None):
    """Join tensors of one shape along a new axis."""
    tensors, dim = list(tensors), dim if axis is None else axis
    if not any(isinstance(x, Tensor) for x in tensors):
        return np.stack(tensors, axis=dim)
    return _stack(*tensors, dim=normalize_axis_index(dim, np.ndim(tensors[0]) + 1))


concatenate = concat = cat
