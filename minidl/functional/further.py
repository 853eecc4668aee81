"""Further functions of PyTorch's, each an expression of those that there are."""
from __future__ import annotations

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .activations import softmax
from .arrangement import expand, repeat
from .elementwise import abs
from .operation import Operation
from .parts import narrow
from .selection import clamp, gather
from .selection import sort as _sort
from .shapes import cat, clone, reshape, unsqueeze
from .statistics import norm
from .trigonometry import cos, sin

__all__ = ["absolute", "broadcast_to", "clip", "clone", "diff", "hstack", "isclose", "lerp", "median", "normalize",
           "numel", "repeat_interleave", "softmin", "take_along_dim", "tan", "tile", "vstack"]

absolute, clip, broadcast_to = abs, clamp, expand


def tan(x):
    """sin x / cos x."""
    return sin(x) / cos(x)


def lerp(start, end, weight):
    """start + weight (end - start)."""
    return start + weight * (end - start)


def normalize(x, p: float = 2.0, dim: int = 1, eps: float = 1e-12):
    """x over its p-norm along an axis, which is at least eps."""
    return x / clamp(norm(x, p, dim, True), min=eps)


def softmin(x, dim: int = -1):
    """softmax(-x)."""
    return softmax(-x, dim=dim)


def numel(x) -> int:
    """The number of elements."""
    return int(np.prod(x.shape, dtype=int))


def tile(x, *dims):
    """x, so many times along its last axes, or along more than it has."""
    dims = tuple(dims[0]) if len(dims) == 1 and not isinstance(dims[0], (int, np.integer)) else dims
    return repeat(x, *[1] * (x.ndim - len(dims)), *dims)


def hstack(tensors):
    """Join along the second axis, or vectors along their one."""
    given = [reshape(x, 1) if x.ndim == 0 else x for x in tensors]
    return cat(given, 0 if given[0].ndim == 1 else 1)


def vstack(tensors):
    """Join along the first axis; a vector is a row."""
    return cat([unsqueeze(reshape(x, -1), 0) if x.ndim < 2 else x for x in tensors], 0)


def diff(x, n: int = 1, dim: int = -1):
    """x[i + 1] - x[i] along an axis, n times."""
    for _ in range(n):
        many = x.shape[dim] - 1
        x = narrow(x, dim, 1, many) - narrow(x, dim, 0, many)
    return x


def take_along_dim(x, indices, dim: int):
    """x at the places along an axis that the indices, of as many axes, name."""
    return gather(x, dim, indices)


def repeat_interleave(x, repeats: int, dim: int | None = None):
    """Each slice of x along an axis, or each element of all, so many times, one after the other."""
    x, dim = (reshape(x, -1), 0) if dim is None else (x, normalize_axis_index(dim, x.ndim, "repeat_interleave"))
    before, n, after = x.shape[:dim], x.shape[dim], x.shape[dim + 1:]
    wide = expand(reshape(x, *before, n, 1, *after), *before, n, int(repeats), *after)
    return reshape(wide, *before, n * int(repeats), *after)


def median(x, dim: int | None = None, keepdim: bool = False):
    """The median of all elements; along an axis (values, indices). Of two in the middle the smaller."""
    if dim is None:
        return _sort(reshape(x, -1), 0).values[(numel(x) - 1) // 2]
    found = _sort(x, dim)
    middle = [narrow(part, dim, (x.shape[dim] - 1) // 2, 1) for part in found]
    if not keepdim:
        shape = tuple([n for i, n in enumerate(x.shape) if i != dim % x.ndim])
        middle = [reshape(part, shape) for part in middle]
    return type(found)(*middle)


_is_close = Operation("isclose", lambda a, b, rtol, atol: np.isclose(a, b, rtol, atol), arity=2)


def isclose(x, other, rtol: float = 1e-5, atol: float = 1e-8):
    """Whether elements are equal but for atol + rtol |other|."""
    return _is_close(x, other, rtol=rtol, atol=atol)
