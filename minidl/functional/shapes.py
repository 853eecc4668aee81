"""Reshaping, indexing and joining: the value moves elements, the derivative moves them back."""
from __future__ import annotations

import math
from itertools import accumulate

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..autograd.tape import active_recorder, constant
from ..autograd.tensor import Tensor
from .operation import Joining, Operation, no_derivative

# Shapes

_reshape = Operation(
    "reshape", lambda x, shape: x.reshape(shape), lambda g, y, x, shape: g.reshape(x.shape),
    reads=("",), views=True)
_permute = Operation(
    "permute", lambda x, dims: x.transpose(dims), lambda g, y, x, dims: _permute(g, dims=_inverse(dims)),
    reads=("",), views=True)
expand = Operation("expand", np.broadcast_to, lambda g, y, x, shape: g, reads=("",), views=True, settings=("shape",))


def _inverse(dims) -> tuple[int, ...]:
    """The permutation that undoes another one."""
    return tuple(map(int, np.argsort(dims)))


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


# Indexing. The arrays in an index, of integers or booleans, are inputs; the setting ``index`` says where they stand.

BASIC = (int, np.integer, slice, type(None), type(Ellipsis))


class _Array:
    """The place of an array in an index."""

    def __repr__(self) -> str:
        return "an array"


ARRAY = _Array()


def _filled(index, picks):
    """The index, with the arrays in their places."""
    if not picks:
        return index
    rest = iter(picks)
    return tuple([next(rest) if part is ARRAY else part for part in index])


def _index_value(x, *picks, index):
    return x[_filled(index, picks)]


def _scatter_value(g, *picks, index, shape):
    dx = np.zeros(shape, g.dtype)
    if not picks:
        dx[index] = g
    else:  # an element may be picked more than once
        np.add.at(dx, _filled(index, picks), g)
    return dx


class _Picking(Operation):
    """An operation whose inputs, behind the first, are of integers or booleans."""

    def derivative(self, i: int):
        return self.derivatives[0] if i == 0 else no_derivative

    def reads_of(self, i: int) -> str:
        return self.reads[0] if i == 0 else ""


_index = _Picking(
    "index", _index_value, lambda g, y, x, *picks, index: scatter(g, *picks, index=index, shape=x.shape),
    reads=("123456789",), views=True, arity=math.inf)
scatter = _Picking(
    "scatter", _scatter_value, lambda u, d, g, *picks, index, shape: _index(u, *picks, index=index),
    reads=("123456789",), arity=math.inf)


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
    if active_recorder() is not None:  # an array is read where it lies at each run of the step
        array = np.asarray(part)
        if array is not part:
            constant(array)
        return array
    return np.array(part) if recorded else np.asarray(part)


clone = Operation("clone", np.copy, lambda g, y, x: g, reads=("",))

# Joining

def _cat_part(i, g, y, *inputs, dim, ends):
    return g[(*[slice(None)] * dim, slice(ends[i], ends[i + 1]))]


def _stack_part(i, g, y, *inputs, dim):
    return g[(*[slice(None)] * dim, i)]


_cat = Joining("cat", lambda *inputs, dim, ends: np.concatenate(inputs, axis=dim), _cat_part, reads=("",))
_stack = Joining("stack", lambda *inputs, dim: np.stack(inputs, axis=dim), _stack_part, reads=("",))


def cat(tensors, dim: int = 0, *, axis: int | None = None):
    """The tensors end to end along an axis that they have."""
    tensors, dim = list(tensors), dim if axis is None else axis
    if not any(isinstance(x, Tensor) for x in tensors):
        return np.concatenate(tensors, axis=dim)
    dim = normalize_axis_index(dim, np.ndim(tensors[0]))
    ends = tuple(accumulate((np.shape(x)[dim] for x in tensors), initial=0))
    return _cat(*tensors, dim=dim, ends=ends)


def stack(tensors, dim: int = 0, *, axis: int | None = None):
    """The tensors, of one shape, side by side along a new axis."""
    tensors, dim = list(tensors), dim if axis is None else axis
    if not any(isinstance(x, Tensor) for x in tensors):
        return np.stack(tensors, axis=dim)
    return _stack(*tensors, dim=normalize_axis_index(dim, np.ndim(tensors[0]) + 1))


concatenate = concat = cat
