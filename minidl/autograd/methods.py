"""Methods: the methods of a Tensor beyond those of operators.py, each of which is an operation by its name."""
from __future__ import annotations

from typing import Any

from .other_methods import OtherMethods

rows: Any = None  # the package functional, which sets it; see operators.py


class Methods(OtherMethods):
    """What can be computed of a Tensor, continued. See ``functional`` for what each operation is."""

    __slots__ = ()

    # Selection

    def clamp(self, min=None, max=None):
        return rows.clamp(self, min, max)

    def maximum(self, other):
        return rows.maximum(self, other)

    def minimum(self, other):
        return rows.minimum(self, other)

    def masked_fill(self, mask, value):
        return rows.masked_fill(self, mask, value)

    def gather(self, dim, index):
        return rows.gather(self, dim, index)

    def scatter_add(self, dim, index, src):
        return rows.scatter_add(self, dim, index, src)

    def index_select(self, dim, index):
        return rows.index_select(self, dim, index)

    def sort(self, dim=-1, descending=False):
        return rows.sort(self, dim, descending)

    def argsort(self, dim=-1, descending=False):
        return rows.argsort(self, dim, descending)

    def topk(self, k, dim=-1, largest=True, sorted=True):
        return rows.topk(self, k, dim, largest, sorted)

    # Statistics

    def amax(self, dim=None, keepdim=False):
        return rows.amax(self, dim, keepdim)

    def amin(self, dim=None, keepdim=False):
        return rows.amin(self, dim, keepdim)

    def norm(self, p="fro", dim=None, keepdim=False):
        return rows.norm(self, p, dim, keepdim)

    def prod(self, dim=None, keepdim=False):
        return rows.prod(self, dim, keepdim)

    def cumsum(self, dim):
        return rows.cumsum(self, dim)

    def var(self, dim=None, unbiased=True, keepdim=False, *, correction=None):
        return rows.var(self, dim, unbiased, keepdim, correction=correction)

    def std(self, dim=None, unbiased=True, keepdim=False, *, correction=None):
        return rows.std(self, dim, unbiased, keepdim, correction=correction)

    # Arrangement

    def expand(self, *sizes):
        return rows.expand(self, *sizes)

    def repeat(self, *sizes):
        return rows.repeat(self, *sizes)

    def flip(self, *dims):
        return rows.flip(self, *dims)

    def split(self, split_size, dim=0):
        return rows.split(self, split_size, dim)

    def chunk(self, chunks, dim=0):
        return rows.chunk(self, chunks, dim)

    def tril(self, diagonal=0):
        return rows.tril(self, diagonal)

    def triu(self, diagonal=0):
        return rows.triu(self, diagonal)

    def outer(self, other):
        return rows.outer(self, other)

    def bmm(self, other):
        return rows.bmm(self, other)

    # Functions

    def erf(self):
        return rows.erf(self)
