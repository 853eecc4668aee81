"""The memory of parameters: values in one array, gradients in another, those of a model side by side.

A Parameter is a view into a Store. Each new one is placed directly after the one made before it, so that the
parameters of a model are one span of memory (or a few), which an optimizer updates as one array. They move only
where ``flatten`` is called and they lie in several spans: until then, an array that was taken from a parameter
is the parameter's memory.
"""
from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..kernels.memory import EXACT, Memory

if TYPE_CHECKING:
    from .parameter import Parameter

ROOM = 64 * 1024   # elements of a new store, for the parameters that are made next
LARGE = 1024       # elements from which a parameter begins on a cache line, for the products that read it
LINE = 64          # bytes of a cache line

_moves = 0


def moves() -> int:
    """The number of times that parameters have moved."""
    return _moves


def moved() -> None:
    """Count a move of a parameter."""
    global _moves
    _moves += 1


def aligned(size: int, dtype) -> np.ndarray:
    """A zeroed 1-D array of ``size`` elements that begins on a cache line and can't be resized in place."""
    dtype = np.dtype(dtype)
    return np.frombuffer(Memory(size * dtype.itemsize), dtype) if size else np.empty(0, dtype)


class Store:
    """Two flat arrays of one size: values, and their gradients (zero at first). ``used``: of how many elements."""

    __slots__ = ("gradients", "used", "values")

    def __init__(self, size: int, dtype):
        self.values = aligned(size, dtype)
        self.gradients = aligned(size, dtype)
        self.used = 0

    def begin(self, size: int) -> int:
        """The index at which the next parameter of this size begins."""
        line = LINE // self.values.itemsize
        return -(-self.used // line) * line if size >= LARGE else self.used


class _Open(threading.local):
    """The stores that new parameters of this thread are put into, by dtype."""

    def __init__(self):
        self.stores: dict[np.dtype, Store] = {}


_open = _Open()


def place(size: int, dtype) -> tuple[Store, int]:
    """A store, and the index in it of ``size`` new elements, after those that were placed last."""
    dtype = np.dtype(dtype)
    store = _open.stores.get(dtype)
    if store is None or store.begin(size) + size > store.values.size:
        store = _open.stores[dtype] = Store(size if EXACT else size + ROOM, dtype)
    start = store.begin(size)
    store.used = start + size
    return store, start


def end_model() -> None:
    """Let the next parameter begin on a cache line: those before it are a whole model."""
    for store in _open.stores.values():
        store.used = min(store.begin(LARGE), store.values.size)


def spans(parameters: Iterable[Parameter]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(values, gradients) of each span of neighbouring parameters, in the order given."""
    found: list[list] = []
    for parameter in parameters:
        store, start, end = parameter.store, parameter.start, parameter.start + parameter.numel()
        if found and found[-1][0] is store and found[-1][2] == start:
            found[-1][2] = end
        else:
            found.append([store, start, end])
    return [(store.values[a:b], store.gradients[a:b]) for store, a, b in found]


def flatten(parameters: Iterable[Parameter]) -> tuple[np.ndarray, np.ndarray]:
    """The values of the parameters as one array, and their gradients as another, of which they are views.

    Parameters that do not lie side by side move to a store of their own, with the bits of their values and
    gradients; arrays taken from them before are copies then. Raises ValueError when the parameters
    differ in dtype.
    """
    parameters = list(parameters)
    if not parameters:
        return np.empty(0, np.float32), np.empty(0, np.float32)
    found = spans(parameters)
    if len(found) > 1:
        dtypes = {parameter.dtype for parameter in parameters}
        if len(dtypes) > 1:
            names = " and ".join(sorted(map(str, dtypes)))
            raise ValueError(f"parameters of one flat buffer must share a dtype, got {names}")
        store = Store(sum(parameter.numel() for parameter in parameters), dtypes.pop())
        for parameter in parameters:
            parameter.move(store, store.used)
            store.used += parameter.numel()
        return store.values, store.gradients
    return found[0]
