"""Copies and casts: elements and gradients keep their places."""
from __future__ import annotations

import numpy as np

from ..autograd.device import check_device, is_cpu
from ..autograd.tensor import Tensor
from .operation import Operation
from .shapes import clone as clone

_cast = Operation("to", lambda x, dtype: x.astype(dtype), lambda g, y, x, dtype: g, reads=("",))
contiguous = Operation("contiguous", lambda x: np.asarray(x, order="C"), lambda g, y, x: g, reads=("",),
                       views=True)
detach = Operation("detach", lambda x: x, views=True, arity=1)


def to(x, *args, dtype=None, device=None, non_blocking: bool = False, copy: bool = False):
    """x in another dtype, or x itself if it has it already, as on the one device, "cpu".

    A dtype, a device, both, or a Tensor whose dtype it takes on: ``to(device, torch.float32)``. ``copy`` makes one in
    any case. A cast to integers or booleans has no derivative. Raises TypeError for what is no dtype, ValueError for
    another device.
    """
    if device is not None:
        check_device(device)
    for given in args:
        if isinstance(given, bool):  # non_blocking, by position
            continue
        if isinstance(given, (Tensor, np.ndarray)):
            dtype = given.dtype
        elif not is_cpu(given):
            try:
                dtype = np.dtype(given)
            except TypeError:
                raise TypeError(f"to: expected a dtype or the device 'cpu', got {given!r}") from None
    if dtype is None or np.dtype(dtype) == x.dtype:
        return clone(x) if copy else x
    dtype = np.dtype(dtype)
    return _cast(x if dtype.kind == "f" else detach(x), dtype=dtype)

