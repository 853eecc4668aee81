"""OtherMethods: methods of a Tensor by a second name, and those about its dtype, its device and new ones like it."""
from __future__ import annotations

from typing import Any

import numpy as np

from .device import check_device
from .named_methods import NamedMethods

rows: Any = None  # the package functional, which sets it; see operators.py


class OtherMethods(NamedMethods):
    """See PyTorch's documentation for what each name means; those of functional stand there."""

    __slots__ = ()

    # Under other names

    def clip(self, min=None, max=None):
        return rows.clamp(self, min, max)

    def absolute(self):
        return rows.abs(self)

    def negative(self):
        return rows.neg(self)

    def subtract(self, other):
        return rows.sub(self, other)

    def multiply(self, other):
        return rows.mul(self, other)

    def divide(self, other):
        return rows.div(self, other)

    def expand_as(self, other):
        return rows.expand(self, other.shape)

    def reshape_as(self, other):
        return rows.reshape(self, other.shape)

    def where(self, condition, other):
        return rows.where(condition, self, other)

    def broadcast_to(self, *sizes):
        return rows.expand(self, *sizes)

    @property
    def mT(self):
        return rows.transpose(self, -2, -1)

    def nelement(self):
        return self.numel()

    def ndimension(self):
        return self.ndim

    def allclose(self, other, rtol=1e-5, atol=1e-8, equal_nan=False):
        return bool(np.allclose(self._read("allclose()"), getattr(other, "_data", other), rtol, atol, equal_nan))

    def equal(self, other):
        return self.shape == other.shape and bool(np.array_equal(
            self._read("equal()"), getattr(other, "_data", other)))

    # Dtypes and devices

    def int(self):
        return rows.to(self, np.int32)

    def bool(self):
        return rows.to(self, np.bool_)

    def type(self, dtype=None):
        return f"{self.dtype}" if dtype is None else rows.to(self, dtype)

    def type_as(self, other):
        return rows.to(self, other.dtype)

    def is_floating_point(self):
        return self.dtype.kind == "f"

    def is_contiguous(self):
        return self._data.flags.c_contiguous

    def cuda(self, device=None):
        """ValueError: minidl computes on the CPU."""
        check_device("cuda")

    is_cuda = False

    # New ones of this dtype

    def new_zeros(self, *size):
        return rows.zeros_of(self, rows.lengths(size))

    def new_ones(self, *size):
        return rows.zeros_of(self, rows.lengths(size)) + self.dtype.type(1)

    def new_tensor(self, data, dtype=None):
        return type(self)(np.array(getattr(data, "_data", data), dtype or self.dtype))

    def new_full(self, size, fill_value):
        return rows.zeros_of(self, tuple(size)) + self.dtype.type(fill_value)
