"""The flat buffers: the parameters of a model in one array, their gradients in another.

A Parameter is a view into a Store. Laid out together, the parameters of a model are one run of
memory, so that an optimizer is a few operations on one array and a cluster averages a model with one
Allreduce.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .tensor import Parameter

ALIGNMENT = 64  # bytes: a cache line, and the widest vector

_moves = 0


def moves() -> int:
    """How often parameters have moved to another store: whoever keeps views asks before using them."""
    return _moves


def aligned(size: int, dtype) -> np.ndarray:
    """A zeroed 1-D array of ``size`` elements that begins on a cache line."""
    dtype = np.dtype(dtype)
    memory = np.zeros(size * dtype.itemsize + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start:start + size * dtype.itemsize].view(dtype)


class Store:
    """Two flat arrays of one size: values, and their gradients (zero at first)."""

    __slots__ = ("gradients", "values")

    def __init__(self, size: int, dtype):
        self.values = aligned(size, dtype)
        self.gradients = aligned(size, dtype)


def runs(parameters: Iterable[Parameter]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(values, gradients) of each stretch of neighbouring parameters, in the order given."""
    stretches: list[list] = []
    for parameter in parameters:
        store, start, end = parameter.store, parameter.start, parameter.start + parameter.numel()
        if stretches and stretches[-1][0] is store and stretches[-1][2] == start:
            stretches[-1][2] = end
        else:
            stretches.append([store, start, end])
    return [(store.values[a:b], store.gradients[a:b]) for store, a, b in stretches]


def flatten(parameters: Iterable[Parameter]) -> tuple[np.ndarray, np.ndarray]:
    """Lay the parameters out in one store, unless they are so already; return its values and gradients.

    Values and gradients keep their bits. Raises ValueError when the parameters differ in dtype.
    """
    global _moves
    parameters = list(parameters)
    if not parameters:
        return np.empty(0, np.float32), np.empty(0, np.float32)
    stretches = runs(parameters)
    if len(stretches) > 1:
        dtypes = {parameter.dtype for parameter in parameters}
        if len(dtypes) > 1:
            names = " and ".join(sorted(map(str, dtypes)))
            raise ValueError(f"parameters of one flat buffer must share a dtype, got {names}")
        store = Store(sum(parameter.numel() for parameter in parameters), dtypes.pop())
        start = 0
        for parameter in parameters:
            parameter.move(store, start)
            start += parameter.numel()
        _moves += 1
        return store.values, store.gradients
    return stretches[0]
