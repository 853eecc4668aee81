"""The memory of a program's arrays: one block, in which arrays that are not alive at the same time share places."""
from __future__ import annotations

import itertools
import math

import numpy as np

from ..autograd import storage
from ..kernels.ledger import address_of, owner_of

LINE = 64  # bytes of a cache line


class Arena:
    """Reserves memory for arrays whose lifetimes are known, then makes the arrays.

    ``place(size)`` reserves an offset, ``free(offset)`` releases it; ``allocate()`` allocates the memory.
    """

    def __init__(self):
        self.end = 0
        self._holes: list[tuple[int, int]] = []  # (offset, bytes) that are free, in order
        self._sizes: dict[int, int] = {}

    def place(self, size: int) -> int:
        """Reserve ``size`` bytes; their offset."""
        size = max(-(-size // LINE) * LINE, LINE)
        fitting = [(room, offset) for offset, room in self._holes if room >= size]
        if fitting:
            room, offset = min(fitting)
            self._holes.remove((offset, room))
            if room > size:
                self._holes.append((offset + size, room - size))
        else:
            offset, self.end = self.end, self.end + size
        self._sizes[offset] = size
        return offset

    def free(self, offset: int) -> None:
        """Release the bytes that begin at this offset."""
        begin, end = offset, offset + self._sizes.pop(offset)
        for other, room in [(other, room) for other, room in self._holes if other == end or other + room == begin]:
            self._holes.remove((other, room))
            begin, end = min(begin, other), max(end, other + room)
        self._holes.append((begin, end - begin))

    def allocate(self) -> None:
        self.memory = storage.aligned(self.end, np.uint8)

    def array(self, offset: int, shape, dtype, strides=None) -> np.ndarray:
        """An array whose first element lies at this offset."""
        return np.ndarray(shape, dtype, self.memory, offset, strides)


def in_memory_order(array: np.ndarray) -> np.ndarray:
    """The array with its axes as they lie, the farthest steps first: in C order, if its memory has no gaps."""
    if array.flags.c_contiguous:
        return array
    return array.transpose(sorted(range(array.ndim), key=lambda axis: -array.strides[axis]))


def strided(array: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray | None:
    """A view from an array's first element on, with another shape and strides; None where its memory has gaps."""
    owner = owner_of(array)
    flat = in_memory_order(owner)
    if not flat.flags.c_contiguous or 0 in shape:
        return None
    if array.shape == shape and array.strides == strides and type(array) is np.ndarray and array.flags.writeable:
        return array
    return np.ndarray(shape, array.dtype, np.asarray(flat), address_of(array) - address_of(flat), strides)


def as_matrices(shape: tuple[int, ...], arrays: list[np.ndarray]) -> list[np.ndarray] | None:
    """The arrays, broadcast to a shape, as matrices of one shape (rows, cols).

    The first is the output: its columns have stride one. None where two axes cannot describe all of them.
    """
    if all([array.shape == shape and array.flags.c_contiguous for array in arrays]):  # as one row
        n = math.prod(shape)
        rows = [strided(array, (1, n), (n * array.itemsize, array.itemsize)) for array in arrays]
        found = [row for row in rows if row is not None]
        return found if len(found) == len(rows) else None
    views = [array if array.shape == shape else np.broadcast_to(array, shape) for array in arrays]
    axes = sorted((i for i in range(len(shape)) if shape[i] != 1), key=lambda i: -abs(views[0].strides[i]))
    lengths: list[int] = []
    steps: list[list[int]] = [[] for _ in arrays]
    for axis in axes:
        strides = [view.strides[axis] for view in views]
        if lengths and all(mine[-1] == stride * shape[axis] for mine, stride in zip(steps, strides, strict=True)):
            lengths[-1] *= shape[axis]
            for mine, stride in zip(steps, strides, strict=True):
                mine[-1] = stride
        else:
            lengths.append(shape[axis])
            for mine, stride in zip(steps, strides, strict=True):
                mine.append(stride)
    if len(lengths) > 2:
        return None
    height, width = [1] * (2 - len(lengths)) + lengths
    matrices = []
    for array, mine in zip(arrays, steps, strict=True):
        # with one row its stride does not matter, and likewise with one column
        down = mine[0] if height != 1 else width * array.itemsize
        matrix = strided(array, (height, width), (down, mine[-1] if width != 1 else array.itemsize))
        if matrix is None:
            return None
        matrices.append(matrix)
    first = matrices[0]
    return matrices if first.strides[1] == first.itemsize else None


def rows_of(array: np.ndarray) -> np.ndarray | None:
    """(..., n) as a matrix (rows, n), without a copy; None where its strides do not allow it."""
    if array.ndim == 0:
        return strided(array, (1, 1), (array.itemsize, array.itemsize))
    rows = int(np.prod(array.shape[:-1]))
    lead = [(n, step) for n, step in zip(array.shape[:-1], array.strides[:-1], strict=True) if n != 1]
    for (_, outer), (n, step) in itertools.pairwise(lead):
        if outer != step * n:
            return None
    step = lead[-1][1] if lead else array.shape[-1] * array.itemsize
    return strided(array, (rows, array.shape[-1]), (step, array.strides[-1]))
