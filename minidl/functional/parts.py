"""Parts, products and orders of axes under PyTorch's other names, written with shapes, slices and products."""
from __future__ import annotations

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..autograd.tensor import Tensor
from .operation import Operation, no_derivative
from .products import matmul
from .reductions import sum
from .shapes import cat, index, permute, reshape, transpose

__all__ = ["addmm", "bincount", "count_nonzero", "diag", "dot", "masked_select", "mm", "movedim", "mv", "narrow",
           "nonzero", "roll", "select", "swapaxes", "t", "trace", "unbind", "unique"]


def _axes(name: str, expected: tuple[int, ...], *given) -> None:
    if tuple([x.ndim for x in given]) != expected:
        raise ValueError(f"{name}: expected {expected} axes, got shapes {[tuple(x.shape) for x in given]}")


def t(x):
    """A matrix with its axes exchanged; a vector or a number as it is."""
    if x.ndim > 2:
        raise ValueError(f"t: expected at most 2 axes, got shape {tuple(x.shape)}")
    return transpose(x, 0, 1) if x.ndim == 2 else x


swapaxes = transpose


def movedim(x, source, destination):
    """x with some axes moved to other places; the others keep their order."""
    source = normalize_axis_tuple(source, x.ndim, "source")
    destination = normalize_axis_tuple(destination, x.ndim, "destination")
    order = [i for i in range(x.ndim) if i not in source]
    for place, axis in sorted(zip(destination, source, strict=True)):
        order.insert(place, axis)
    return permute(x, tuple(order))


def mm(a, b):
    """The product of two matrices."""
    _axes("mm", (2, 2), a, b)
    return matmul(a, b)


def mv(a, b):
    """The product of a matrix and a vector."""
    _axes("mv", (2, 1), a, b)
    return reshape(matmul(a, reshape(b, -1, 1)), -1)


def dot(a, b):
    """Σ a b, of two vectors."""
    _axes("dot", (1, 1), a, b)
    return sum(a * b)


def addmm(x, a, b, *, beta=1, alpha=1):
    """beta x + alpha a b, for matrices a and b."""
    y = mm(a, b) if alpha == 1 else mm(a, b) * alpha
    return y + (x if beta == 1 else x * beta)


def narrow(x, dim: int, start: int, length: int):
    """The part of x from start on, of so many, along an axis: a view."""
    dim = normalize_axis_index(dim, x.ndim, "narrow")
    start = start + x.shape[dim] if start < 0 else start
    if not 0 <= start <= start + length <= x.shape[dim]:
        raise ValueError(f"narrow: expected a part of an axis of length {x.shape[dim]}, got {length} from {start}")
    return index(x, (*[slice(None)] * dim, slice(start, start + length)))


def select(x, dim: int, index_: int):
    """The slice of x at a place along an axis, without that axis: a view."""
    return index(x, (*[slice(None)] * normalize_axis_index(dim, x.ndim, "select"), int(index_)))


def unbind(x, dim: int = 0):
    """All slices of x along an axis."""
    return tuple([select(x, dim, i) for i in range(x.shape[dim])])


def roll(x, shifts, dims=None):
    """x moved on by so many places along axes, what leaves at the end coming in at the start; or all as one row."""
    if dims is None:
        return reshape(roll(reshape(x, -1), shifts, 0), x.shape)
    shifts, dims = (part if isinstance(part, (tuple, list)) else (part,) for part in (shifts, dims))
    for shift, dim in zip(shifts, dims, strict=True):
        n = x.shape[dim]
        if n and shift % n:
            x = cat([narrow(x, dim, n - shift % n, shift % n), narrow(x, dim, 0, n - shift % n)], dim)
    return x


def _diagonal_value(x, offset):
    return np.diagonal(x, offset).copy()


_diagonal = Operation("diagonal", _diagonal_value, lambda g, y, x, offset: _diagonal_in(g, x, offset=offset),
                      reads=("",))


def _put_diagonal(g, x, offset):
    y = np.zeros(x.shape, g.dtype)
    i = np.arange(len(g))
    y[i + max(0, -offset), i + max(0, offset)] = g
    return y


_diagonal_in = Operation(  # g on a diagonal of zeros of x's shape
    "diagonal_in", _put_diagonal, lambda u, d, g, x, offset: _diagonal(u, offset=offset), no_derivative,
    reads=("", ""))
_matrix = Operation("diag", lambda x, offset: np.diag(x, offset), lambda g, y, x, offset: _diagonal(g, offset=offset),
                    reads=("",))


def diag(x, diagonal: int = 0):
    """The diagonal of a matrix as a vector; the square matrix with a vector on its diagonal, and zeros."""
    if x.ndim not in (1, 2):
        raise ValueError(f"diag: expected a vector or a matrix, got shape {tuple(x.shape)}")
    return (_matrix if x.ndim == 1 else _diagonal)(x, offset=int(diagonal))


def trace(x):
    """Σ x[i, i] of a matrix."""
    _axes("trace", (2,), x)
    return sum(_diagonal(x, offset=0))


# What has a shape that its values make: a captured step cannot repeat it.

def _values(x, how: str) -> np.ndarray:
    return x._read(how) if isinstance(x, Tensor) else np.asarray(x)


def _as_given(array: np.ndarray, x):
    return Tensor(array) if isinstance(x, Tensor) else array


def masked_select(x, mask):
    """The elements of x where the mask of booleans is true, as a vector."""
    x = x if x.ndim else reshape(x, 1)
    chosen = np.broadcast_to(_values(mask, "masked_select()"), x.shape)
    return index(x, tuple(np.nonzero(chosen)))


def nonzero(x, *, as_tuple: bool = False):
    """The indices of the elements that are not zero, (count, axes); as_tuple: for each axis one Tensor."""
    values = _values(x, "nonzero()")
    if as_tuple:
        return tuple([_as_given(i, x) for i in np.nonzero(np.atleast_1d(values))])
    return _as_given(np.argwhere(values).copy(), x)


_count_nonzero = Operation("count_nonzero", lambda x, dim: np.asarray(np.count_nonzero(x, axis=dim)))


def count_nonzero(x, dim=None):
    """How many elements are not zero, of all or along axes."""
    return _count_nonzero(x, dim=tuple(dim) if isinstance(dim, list) else dim)


def bincount(x, weights=None, minlength: int = 0):
    """How often each of the integers 0, 1, ... is in x (N,), or the sum of their weights."""
    weights = None if weights is None else _values(weights, "bincount()")
    return _as_given(np.bincount(_values(x, "bincount()"), weights, minlength), x)


def unique(x, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False):
    """The values in x, each once, sorted whatever ``sorted`` says.

    If asked, with the place among them of each element of x, and how often each is there.
    """
    values, inverse, counts = np.unique(_values(x, "unique()"), return_inverse=True, return_counts=True)
    found = [values, *([inverse.reshape(x.shape)] if return_inverse else []), *([counts] if return_counts else [])]
    made = tuple([_as_given(array, x) for array in found])
    return made if len(made) > 1 else made[0]
