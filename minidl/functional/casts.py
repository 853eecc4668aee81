"""Copies and casts: elements and gradients keep their places."""
from __future__ import annotations

import numpy as np

from ..autograd.device import is_cpu
from .operation import Operation
from .shapes import clone as clone

_cast = Operation("to", lambda x, dtype: x.astype(dtype), lambda g, y, x, dtype: g, reads=("",))
contiguous = Operation("contiguous", lambda x: np.asarray(x, order="C"), lambda g, y, x: g, reads=("",),
                       views=True)
detach = Operation("detach", lambda x: x, views=True, arity=1)


def to(x, dtype):
    """x in another dtype, or x itself if it has it already, as on the one device, "cpu".

    A cast to integers or booleans has no derivative. Raises TypeError for what is no dtype.
    """
    if is_cpu(dtype):
        return x
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"to: expected a dtype or the device 'cpu', got {dtype!r}") from None
    if dtype == x.dtype:
        return x
    return _cast(x if dtype.kind == "f" else detach(x), dtype=dtype)
