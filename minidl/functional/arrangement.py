"""Parts, repetitions, triangles and products of axes, written with shapes, slices and the matrix product."""
from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from .operation import Operation
from .products import matmul
from .reductions import sum
from .shapes import _flat, index, permute, reshape

__all__ = ["chunk", "einsum", "expand", "flip", "outer", "repeat", "split", "tril", "triu"]

_expand = Operation("expand", lambda x, shape: np.broadcast_to(x, shape), lambda g, y, x, shape: g, reads=("",),
                    views=True)


def expand(x, *sizes):
    """x broadcast to a shape, without a copy; -1 keeps a length."""
    sizes = _flat(sizes)
    given = (*[1] * (len(sizes) - x.ndim), *x.shape)
    return _expand(x, shape=tuple([n if size == -1 else size for n, size in zip(given, sizes, strict=True)]))


def repeat(x, *sizes):
    """x, so many times along each axis: not NumPy's repeat, but its tile."""
    sizes = _flat(sizes)
    if len(sizes) < x.ndim:
        raise ValueError(f"repeat: expected a number for each of {x.ndim} axes, got {len(sizes)}")
    lengths = (*[1] * (len(sizes) - x.ndim), *x.shape)
    apart = reshape(x, tuple([k for n in lengths for k in (1, n)]))
    spread = expand(apart, tuple([k for pair in zip(sizes, lengths, strict=True) for k in pair]))
    return reshape(spread, tuple([times * n for times, n in zip(sizes, lengths, strict=True)]))


def flip(x, *dims):
    """x with the order along these axes reversed."""
    reversed_axes = normalize_axis_tuple(_flat(dims), x.ndim, "flip")
    return index(x, tuple([slice(None, None, -1 if i in reversed_axes else None) for i in range(x.ndim)]))


def split(x, split_size_or_sections, dim: int = 0):
    """Parts of x along an axis, views: of one length, but for the last, or of the lengths listed."""
    dim = normalize_axis_index(dim, x.ndim, "split")
    whole, sizes = x.shape[dim], split_size_or_sections
    if isinstance(sizes, (int, np.integer)):
        if sizes < 1:
            raise ValueError(f"split: expected parts of length 1 or more, got {sizes}")
        sizes = [min(sizes, whole - i) for i in range(0, whole, int(sizes))] or [0]
    if math.fsum(sizes) != whole:
        raise ValueError(f"split: expected lengths whose sum is {whole}, got {list(sizes)}")
    ends = [0, *np.cumsum(sizes).tolist()]
    return tuple([index(x, (*[slice(None)] * dim, slice(i, j))) for i, j in pairwise(ends)])


def chunk(x, chunks: int, dim: int = 0):
    """At most so many parts of x along an axis, of one length, but for the last."""
    if chunks < 1:
        raise ValueError(f"chunk: expected 1 part or more, got {chunks}")
    return split(x, max(1, -(-x.shape[dim] // chunks)), dim)


_tril = Operation("tril", lambda x, diagonal: np.tril(x, diagonal),
                  lambda g, y, x, diagonal: _tril(g, diagonal=diagonal), reads=("",))
_triu = Operation("triu", lambda x, diagonal: np.triu(x, diagonal),
                  lambda g, y, x, diagonal: _triu(g, diagonal=diagonal), reads=("",))


def tril(x, diagonal: int = 0):
    """The elements on and below a diagonal of the last two axes, zero above."""
    return _tril(x, diagonal=diagonal)


def triu(x, diagonal: int = 0):
    """The elements on and above a diagonal of the last two axes, zero below."""
    return _triu(x, diagonal=diagonal)


def outer(a, b):
    """a[i] b[j], of two vectors."""
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"outer: expected two vectors, got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return reshape(a, (-1, 1)) * b


def einsum(equation: str, *operands):
    """Products and sums over axes that letters name (Einstein 1916): "bij,bjk->bik" is a product of batches.

    Two operands at a time are multiplied as matrices. Without "->" the letters that appear once are kept, sorted.
    ValueError for letters that do not fit, and for "..." and a letter twice in one operand, which it does not take.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    names = left.split(",")
    if not arrow:
        right = "".join(sorted({c for c in left if c != "," and left.count(c) == 1}))
    fits = len(names) == len(operands) and all(len(name) == x.ndim for name, x in zip(names, operands, strict=False))
    single = all(len(set(name)) == len(name) and (name + "a").isalpha() for name in (*names, right))
    if not fits or not single or not set(right) <= set(left):
        raise ValueError(f"einsum: expected a letter for each axis, each once in an operand, got {equation!r} for "
                         f"shapes {[tuple(x.shape) for x in operands]}")
    name, x = names[0], operands[0]
    for i in range(1, len(operands)):
        later = set(right).union(*names[i + 1:])
        name, x = _contracted(name, x, names[i], operands[i], later)
    x = _summed_out(name, x, set(right))
    name = "".join([c for c in name if c in right])
    return permute(x, tuple([name.index(c) for c in right]))


def _summed_out(name: str, x, saved: set):
    """x summed over the axes that nobody asks for."""
    dims = tuple([i for i, c in enumerate(name) if c not in saved])
    return sum(x, dims) if dims else x


def _contracted(a: str, x, b: str, y, later: set):
    """The letters and the product of two operands, summed over what neither the others nor the output have."""
    x, y = _summed_out(a, x, later | set(b)), _summed_out(b, y, later | set(a))
    a, b = "".join([c for c in a if c in later | set(b)]), "".join([c for c in b if c in later | set(a)])
    batch = [c for c in a if c in b and c in later]
    inner = [c for c in a if c in b and c not in later]
    rows, columns = [c for c in a if c not in b], [c for c in b if c not in a]
    size = {c: n for name, z in ((a, x), (b, y)) for c, n in zip(name, z.shape, strict=True)}

    def matrices(name, z, *groups):
        turned = permute(z, tuple([name.index(c) for group in (batch, *groups) for c in group]))
        return reshape(turned, (*[size[c] for c in batch], *[math.prod([size[c] for c in group]) for group in groups]))

    product = matmul(matrices(a, x, rows, inner), matrices(b, y, inner, columns))
    letters = [*batch, *rows, *columns]
    return "".join(letters), reshape(product, tuple([size[c] for c in letters]))
