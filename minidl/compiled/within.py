"""Results that lie within the array into which they would be copied.

Attention's heads are computed head by head, (N, h, L, d), and read side by side, (N, L, h d). Where a copy is all that
is done to a stack of products, or to what elementwise operations make, a program writes it with the strides that it
has in the copy: its bits do not depend on where it lies.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..arrays import FLOATS
from ..kernels.ledger import Line, address_of, owner_of
from .places import is_elementwise
from .slices import RESHAPES, Slices, readers_of


class Place(NamedTuple):
    """Where a result lies: in this array, so many bytes behind its begin, with these strides."""

    array: np.ndarray
    offset: int
    strides: tuple[int, ...]


def within(lines: list[Line], sums: list[Slices], taken: set[int],
           lasting: set[int]) -> tuple[dict[int, Place], set[int]]:
    """The places of results, by the results' ids, and the numbers of the lines that copy nothing any more.

    Of a sum all of whose parts lie in it, ``written`` becomes true. taken : arrays that have a place already.
    lasting : arrays that are read after the last line.
    """
    apart = taken | lasting | {id(owner_of(lines[one.last].outputs[0])) for one in sums}
    readers = readers_of(lines)
    makers = {id(line.outputs[0]): line for line in lines if line.what == "operation" and line.outputs[0].base is None}
    found: dict[int, Place] = {}
    copies: set[int] = set()

    def place(source: Any, array: np.ndarray, part: np.ndarray, reader: int) -> tuple[int, Place] | None:
        """The id of what the source shows, and its place, if that may be this part of the array."""
        made = owner_of(source) if isinstance(source, np.ndarray) else None
        maker = makers.get(id(made))
        if made is None or maker is None or readers[id(made)] != [reader] or id(made) in apart:
            return None
        if made.dtype not in FLOATS or made.dtype != part.dtype:
            return None
        strides = _strides(made, source, part)
        if strides is None or not _may_be_strided(maker, strides):
            return None
        return id(made), Place(array, address_of(part) - address_of(array), strides)

    for one in sums:
        output = lines[one.last].outputs[0]
        if output.base is not None or id(output) in taken or not one.covers(output.shape[one.axis]):
            continue
        places = [place(source, output, output[index].reshape(source.shape), reader)
                  for (source, index), reader in zip(one.parts, one.readers, strict=True)]
        fitting = dict([each for each in places if each is not None])
        if len(fitting) == len(one.parts):
            one.written = True
            found.update(fitting)
    of_sums = {number for one in sums for number in one.numbers}
    for number, line in enumerate(lines):
        if line.what != "operation" or line.operation.name not in RESHAPES or number in of_sums:
            continue
        source, output, owner = line.operands[0], line.outputs[0], owner_of(line.outputs[0])
        if id(owner) in taken or output.nbytes != owner.nbytes or not output.flags.c_contiguous:
            continue
        placed = place(source, owner, output.reshape(source.shape), number)
        if placed is not None:
            found[placed[0]] = placed[1]
            copies.add(number)
    return found, copies


def _strides(made: np.ndarray, source: np.ndarray, part: np.ndarray) -> tuple[int, ...] | None:
    """Of ``made`` where ``source``, a view of it, is the part. None unless its axes are those of all that was made, in
    another order, or several as one."""
    if not made.flags.c_contiguous or source.size != made.size or address_of(source) != address_of(made):
        return None
    found = {axis: made.itemsize for axis in range(made.ndim) if made.shape[axis] == 1}
    for length, step, there in zip(source.shape, source.strides, part.strides, strict=True):
        while length > 1:
            axes = [axis for axis in range(made.ndim) if axis not in found and made.strides[axis] == step]
            if not axes or length % made.shape[axes[0]]:
                return None
            found[axes[0]], count = there, made.shape[axes[0]]
            length, step, there = length // count, step * count, there * count
    return tuple([found[axis] for axis in range(made.ndim)]) if len(found) == made.ndim else None


def _may_be_strided(maker: Line, strides: tuple[int, ...]) -> bool:
    """Whether the kernels of a line write an output that lies so."""
    size = maker.outputs[0].itemsize
    if maker.operation.name == "matmul":
        return all([x.ndim > 2 for x in maker.operands]) and size in strides[-2:]
    return is_elementwise(maker) and size in strides
