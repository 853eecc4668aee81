"""Reshaping, indexing and joining: the value moves elements, the derivative moves them back."""
from __future__ import annotations

import numpy as np

from ..tensor import Tensor
from .operation import Operation

_reshape = Operation("reshape", lambda x, shape: x.reshape(shape), lambda g, y, x, shape: g.reshape(x.shape))
_permute = Operation(
    "permute", lambda x, dims: x.transpose(dims), lambda g, y, x, dims: g.transpose(np.argsort(dims)))


def _scatter(g, y, x, index):
    dx = np.zeros(x.shape, g.dtype)
    if _is_basic(index):
        dx[index] = g
    else:  # an element may be picked more than once
        np.add.at(dx, index, g)
    return dx


def _is_basic(index) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice)) for part in parts)


_index = Operation("index", lambda x, index: x[index], _scatter)


def reshape(x, *shape):
    """x with another shape, in the same order; one length may be -1."""
    return _reshape(x, shape=_flat(shape))


def transpose(x, dim0: int, dim1: int):
    """x with two axes exchanged."""
    dims = list(range(len(x.shape)))
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return _permute(x, dims=tuple(dims))


def permute(x, *dims):
    """x with its axes in the order ``dims``."""
    dims = _flat(dims)
    return _permute(x, dims=tuple(dim % len(x.shape) for dim in dims))


def flatten(x, start_dim: int = 0, end_dim: int = -1):
    """x with the axes from start_dim to end_dim as one."""
    start, end = start_dim % len(x.shape), end_dim % len(x.shape)
    return reshape(x, x.shape[:start] + (-1,) + x.shape[end + 1:])


def squeeze(x, dim: int):
    """x without the axis ``dim``, of length one. ValueError if it is longer."""
    if x.shape[dim] != 1:
        raise ValueError(f"squeeze: axis {dim} has length {x.shape[dim]}, not 1")
    dim %= len(x.shape)
    return reshape(x, x.shape[:dim] + x.shape[dim + 1:])


def unsqueeze(x, dim: int):
    """x with a new axis of length one at ``dim``."""
    dim %= len(x.shape) + 1
    return reshape(x, (*x.shape[:dim], 1, *x.shape[dim:]))


def index(x, where):
    """x[where], for any index that NumPy takes."""
    parts = where if isinstance(where, tuple) else (where,)
    plain = tuple(part.data if isinstance(part, Tensor) else part for part in parts)
    return _index(x, index=plain if isinstance(where, tuple) else plain[0])


def _flat(numbers) -> tuple[int, ...]:
    return tuple(numbers[0]) if len(numbers) == 1 and not isinstance(numbers[0], (int, np.integer)) else numbers


def _join(name: str, value):
    """An operation on any number of inputs: the derivative for each is its part of g."""
    def part(i):
        def derivative(g, y, *inputs, dim=0):
            if name == "stack":
                return np.take(g, i, axis=dim)
            start = sum(x.shape[dim] for x in inputs[:i])
            return np.take(g, np.arange(start, start + inputs[i].shape[dim]), axis=dim)
        return derivative

    class Parts:
        __getitem__ = staticmethod(part)

    operation = Operation(name, value)
    operation.derivatives = Parts()
    return operation


_cat = _join("cat", lambda *inputs, dim=0: np.concatenate(inputs, axis=dim))
_stack = _join("stack", lambda *inputs, dim=0: np.stack(inputs, axis=dim))


def cat(tensors, dim: int = 0, *, axis: int | None = None):
    """The tensors end to end along an axis that they have."""
    return _cat(*tensors, dim=dim if axis is None else axis)


def stack(tensors, dim: int = 0, *, axis: int | None = None):
    """The tensors, of one shape, side by side along a new axis."""
    return _stack(*tensors, dim=dim if axis is None else axis)


concatenate = concat = cat
