"""Gradients of slices of one array, which a program writes each to its place, with the same bits.

Where the columns of an array are read part by part, as the queries, keys and values of attention are, the derivative
of each part is an array of zeros with the gradient in it, and these are added up. Only the zeros overlap, so every
element is a gradient plus zeros: each part is written to its place in the sum at once, as g + 0, which makes the 0 of
a -0 that the additions would make. A copy that only makes the part's shape is left out, too.
"""
from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ..arrays import FLOATS
from ..kernels.ledger import Line, address_of, owner_of, span_of

PYTHON = ("call", "function")  # lines of which nobody knows what they write
RESHAPES = ("reshape", "reshape_as", "flatten")


class Slices:
    """Lines that are one sum of slices: their numbers, and for each slice its gradient and its index in the sum."""

    def __init__(self, number: int, source: np.ndarray, index: tuple, axis: int, span: tuple[int, int]):
        self.numbers, self.parts = [number], [(source, index)]
        self.axis, self.spans = axis, [span]

    @property
    def last(self) -> int:
        return self.numbers[-1]

    def covers(self, length: int) -> bool:
        """Whether no element of the axis, of this length, is left out."""
        return sum([end - begin for begin, end in self.spans]) == length

    def fits(self, other: Slices) -> bool:
        """Whether the other's slices lie along the same axis, and beside these."""
        spans = sorted(self.spans + other.spans)
        return self is not other and self.axis == other.axis and all(
            [end <= begin for (_, end), (begin, _) in pairwise(spans)])

    def add(self, number: int, other: Slices) -> None:
        self.numbers = [*sorted(self.numbers + other.numbers), number]
        self.parts, self.spans = self.parts + other.parts, self.spans + other.spans


def sliced(lines: list[Line], lasting: set[int]) -> list[Slices]:
    """The sums of slices among the lines. lasting : arrays that are read after the last line, by their ids."""
    readers: dict[int, list[int]] = {}
    makers: dict[int, int] = {}
    for number, line in enumerate(lines):
        made = {id(owner_of(array)) for array in line.outputs} if line.what == "operation" else set()
        makers.update(dict.fromkeys(made, number))
        for key in set(line.owners) - made:
            readers.setdefault(key, []).append(number)

    def is_passed_on(x: Any, number: int) -> bool:
        """Whether all of x is read by this line, and by no other."""
        if not isinstance(x, np.ndarray) or not x.flags.c_contiguous or x.nbytes != owner_of(x).nbytes:
            return False
        return readers[id(owner_of(x))] == [number] and id(owner_of(x)) not in lasting

    sums: dict[int, Slices] = {}  # by the arrays that the lines so far made
    for number, line in enumerate(lines):
        name = line.operation.name if line.what == "operation" else ""
        if name == "scatter" and len(line.operands) == 2:
            (g, _), (output,), index = line.operands, line.outputs, line.settings["index"]
            place = _along_an_axis(output, index)
            if place is None or g.dtype != output.dtype or g.dtype not in FLOATS or g.shape != output[index].shape:
                continue
            one = sums[id(owner_of(output))] = Slices(number, g, index, *place)
            copy = lines[makers.get(id(owner_of(g)), number)]
            given = copy.operands[0]
            if copy.operation.name in RESHAPES and is_passed_on(g, number) and _is_view(output[index], given):
                one.parts, one.numbers = [(given, index)], [makers[id(owner_of(g))], number]
        elif name == "add" and all([is_passed_on(x, number) for x in line.operands]):
            (a, b), (output,) = line.operands, line.outputs
            left, right = sums.get(id(owner_of(a))), sums.get(id(owner_of(b)))
            if left is None or right is None or not a.shape == b.shape == output.shape or not left.fits(right) or (
                    not output.flags.c_contiguous):
                continue
            left.add(number, right)
            del sums[id(owner_of(a))], sums[id(owner_of(b))]
            sums[id(owner_of(output))] = left
    return [one for one in sums.values() if len(one.parts) > 1 and _undisturbed(one, lines)]


def _along_an_axis(output: np.ndarray, index: Any) -> tuple[int, tuple[int, int]] | None:
    """The axis and the span of an index that is a slice of one axis, without steps; None for another one."""
    if not output.flags.c_contiguous or not output.size:
        return None
    part = output[index]
    if not isinstance(part, np.ndarray) or part.ndim != output.ndim or part.strides != output.strides:
        return None
    axes = [axis for axis in range(output.ndim) if part.shape[axis] != output.shape[axis]]
    if len(axes) != 1 or not part.size:
        return None
    begin = (address_of(part) - address_of(output)) // output.strides[axes[0]]
    return axes[0], (begin, begin + part.shape[axes[0]])


def _is_view(part: np.ndarray, source: np.ndarray) -> bool:
    """Whether a part of the sum has the shape of what a copy was made of without a copy of its own."""
    return part.dtype == source.dtype and np.may_share_memory(part.reshape(source.shape), part)


def _undisturbed(one: Slices, lines: list[Line]) -> bool:
    """Whether nothing that is read at the last line is written to after the first."""
    read = [span_of(source) for source, _ in one.parts]
    for line in lines[one.numbers[0]:one.last]:
        if line.what in PYTHON:
            return False
        if line.what in ("accumulate", "overwrite", "zero"):
            low, high = span_of(line.outputs[0])
            if any([a < high and low < b for a, b in read]):
                return False
    return True
