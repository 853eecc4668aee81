"""Operators: the operators and methods of a Tensor, each of which calls the operation of its name.

Operations are imported after the Tensor, which they take and make. So this class calls them through one name,
``rows``, which the package ``functional`` sets to itself when it is imported; no import runs upward.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from .methods import Methods
from .tape import recording

rows: Any = None  # the package functional


def _is_input(x) -> bool:
    """Whether an operation takes x; else the operator gives NotImplemented (a bool is an int)."""
    return isinstance(x, (Operators, np.ndarray, np.generic, int, float))


class Operators(Methods):
    """What can be computed of a Tensor. See ``functional`` for what each operation is."""

    __slots__ = ()
    __hash__ = object.__hash__  # a class with __eq__ has none otherwise

    # Arithmetic

    def __add__(self, other):
        return rows.add(self, other) if _is_input(other) else NotImplemented

    def __radd__(self, other):
        return rows.add(other, self) if _is_input(other) else NotImplemented

    def __iadd__(self, other):
        return self._in_place(rows.add, other)

    def __sub__(self, other):
        return rows.sub(self, other) if _is_input(other) else NotImplemented

    def __rsub__(self, other):
        return rows.sub(other, self) if _is_input(other) else NotImplemented

    def __isub__(self, other):
        return self._in_place(rows.sub, other)

    def __mul__(self, other):
        return rows.mul(self, other) if _is_input(other) else NotImplemented

    def __rmul__(self, other):
        return rows.mul(other, self) if _is_input(other) else NotImplemented

    def __imul__(self, other):
        return self._in_place(rows.mul, other)

    def __truediv__(self, other):
        return rows.div(self, other) if _is_input(other) else NotImplemented

    def __rtruediv__(self, other):
        return rows.div(other, self) if _is_input(other) else NotImplemented

    def __itruediv__(self, other):
        return self._in_place(rows.div, other)

    def __pow__(self, other):
        return rows.pow(self, other) if _is_input(other) else NotImplemented

    def __rpow__(self, other):
        return rows.pow(other, self) if _is_input(other) else NotImplemented

    def __ipow__(self, other):
        return self._in_place(rows.pow, other)

    def __matmul__(self, other):
        return rows.matmul(self, other) if _is_input(other) else NotImplemented

    def __rmatmul__(self, other):
        return rows.matmul(other, self) if _is_input(other) else NotImplemented

    def __imatmul__(self, other):
        return self._in_place(rows.matmul, other)

    def __mod__(self, other):
        return rows.remainder(self, other) if _is_input(other) else NotImplemented

    def __rmod__(self, other):
        return rows.remainder(other, self) if _is_input(other) else NotImplemented

    def __floordiv__(self, other):
        return rows.floor_divide(self, other) if _is_input(other) else NotImplemented

    def __rfloordiv__(self, other):
        return rows.floor_divide(other, self) if _is_input(other) else NotImplemented

    def __neg__(self):
        return rows.neg(self)

    def __abs__(self):
        return rows.abs(self)

    def _in_place(self, operation, other):
        """``w -= step``: for a leaf that is trained in place, and only within no_grad(); else a new Tensor."""
        if not _is_input(other):
            return NotImplemented
        if not (self.requires_grad and self.is_leaf):
            return operation(self, other)
        if recording():
            raise RuntimeError("a leaf that requires grad changes in place within no_grad() alone")
        result = operation(self, other)
        if result.dtype != self.dtype:
            raise TypeError(f"a result of {result.dtype} does not fit into a Tensor of {self.dtype} in place")
        self.overwrite(result)
        return self

    def add(self, other, *, alpha=1):
        return rows.add(self, other if alpha == 1 else alpha * other)

    def sub(self, other, *, alpha=1):
        return rows.sub(self, other if alpha == 1 else alpha * other)

    def mul(self, other):
        return rows.mul(self, other)

    def div(self, other):
        return rows.div(self, other)

    def pow(self, other):
        return rows.pow(self, other)

    def matmul(self, other):
        return rows.matmul(self, other)

    # Comparisons

    def __lt__(self, other):
        return rows.lt(self, other) if _is_input(other) else NotImplemented

    def __le__(self, other):
        return rows.le(self, other) if _is_input(other) else NotImplemented

    def __gt__(self, other):
        return rows.gt(self, other) if _is_input(other) else NotImplemented

    def __ge__(self, other):
        return rows.ge(self, other) if _is_input(other) else NotImplemented

    def __eq__(self, other):
        return rows.eq(self, other) if _is_input(other) else NotImplemented

    def __ne__(self, other):
        return rows.ne(self, other) if _is_input(other) else NotImplemented

    def __and__(self, other):
        return rows.bitwise_and(self, other) if _is_input(other) else NotImplemented

    def __rand__(self, other):
        return rows.bitwise_and(other, self) if _is_input(other) else NotImplemented

    def __or__(self, other):
        return rows.bitwise_or(self, other) if _is_input(other) else NotImplemented

    def __ror__(self, other):
        return rows.bitwise_or(other, self) if _is_input(other) else NotImplemented

    def __xor__(self, other):
        return rows.bitwise_xor(self, other) if _is_input(other) else NotImplemented

    def __rxor__(self, other):
        return rows.bitwise_xor(other, self) if _is_input(other) else NotImplemented

    def __invert__(self):
        return rows.bitwise_not(self)

    def lt(self, other):
        return rows.lt(self, other)

    def le(self, other):
        return rows.le(self, other)

    def gt(self, other):
        return rows.gt(self, other)

    def ge(self, other):
        return rows.ge(self, other)

    def eq(self, other):
        return rows.eq(self, other)

    def ne(self, other):
        return rows.ne(self, other)

    # Functions

    def neg(self):
        return rows.neg(self)

    def abs(self):
        return rows.abs(self)

    def sqrt(self):
        return rows.sqrt(self)

    def exp(self):
        return rows.exp(self)

    def log(self):
        return rows.log(self)

    def tanh(self):
        return rows.tanh(self)

    def sigmoid(self):
        return rows.sigmoid(self)

    def relu(self):
        return rows.relu(self)

    def softmax(self, dim=-1):
        return rows.softmax(self, dim)

    def log_softmax(self, dim=-1):
        return rows.log_softmax(self, dim)

    # Reductions

    def sum(self, dim=None, keepdim=False, *, axis=None, keepdims=False):
        return rows.sum(self, dim, keepdim, axis=axis, keepdims=keepdims)

    def mean(self, dim=None, keepdim=False, *, axis=None, keepdims=False):
        return rows.mean(self, dim, keepdim, axis=axis, keepdims=keepdims)

    def max(self, dim=None, keepdim=False, *, axis=None, keepdims=False):
        return rows.max(self, dim, keepdim, axis=axis, keepdims=keepdims)

    def min(self, dim=None, keepdim=False, *, axis=None, keepdims=False):
        return rows.min(self, dim, keepdim, axis=axis, keepdims=keepdims)

    def argmax(self, dim=None, keepdim=False, *, axis=None, keepdims=False):
        return rows.argmax(self, dim, keepdim, axis=axis, keepdims=keepdims)

    def argmin(self, dim=None, keepdim=False, *, axis=None, keepdims=False):
        return rows.argmin(self, dim, keepdim, axis=axis, keepdims=keepdims)

    def all(self, dim=None, keepdim=False, *, axis=None, keepdims=False):
        return rows.all(self, dim, keepdim, axis=axis, keepdims=keepdims)

    def any(self, dim=None, keepdim=False, *, axis=None, keepdims=False):
        return rows.any(self, dim, keepdim, axis=axis, keepdims=keepdims)

    # Shapes

    def __getitem__(self, where):
        return rows.index(self, where)

    @property
    def T(self):
        """With its axes in the opposite order."""
        return rows.permute(self, range(self.ndim)[::-1])

    def reshape(self, *shape):
        return rows.reshape(self, *shape)

    def view(self, *shape):
        return rows.reshape(self, *shape)

    def view_as(self, other):
        return rows.reshape(self, other.shape)

    def transpose(self, dim0, dim1):
        return rows.transpose(self, dim0, dim1)

    def permute(self, *dims):
        return rows.permute(self, *dims)

    def flatten(self, start_dim=0, end_dim=-1):
        return rows.flatten(self, start_dim, end_dim)

    def squeeze(self, dim=None):
        return rows.squeeze(self, dim)

    def unsqueeze(self, dim):
        return rows.unsqueeze(self, dim)

    # Casts and copies

    def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False):
        return rows.to(self, *args, dtype=dtype, device=device, copy=copy)

    def float(self):
        return rows.to(self, np.float32)

    def double(self):
        return rows.to(self, np.float64)

    def long(self):
        return rows.to(self, np.int64)

    def cpu(self):
        return self

    def clone(self):
        return rows.clone(self)

    def contiguous(self):
        return rows.contiguous(self)

    def detach(self):
        """The same array, off the tape."""
        return rows.detach(self)
