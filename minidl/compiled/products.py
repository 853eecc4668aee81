"""Products of a program that are done together, with the same bits.

Layers that are applied to neighbouring rows of one array, as in a loop over time, are one product: no row of a product
depends on the others. Products that add to one gradient, one after the other, are one whose operands lie one behind the
other: an element is one chain of multiply-adds, which goes on where it ended. A weight that several input gradients
read is put into the order in which they read it once, not by each product for itself.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.ledger import Line, address_of, owner_of, span_of

GIVEN = ("argument", "constant", "outside")  # arrays that are there before the first line
LARGEST = 256 * 1024  # bytes of a weight that is reordered, or of operands that wait: more would leave the cache
LINE = 64  # bytes: the outputs of joined products begin on lines of the cache
PYTHON = ("call", "function")  # lines of which nobody knows what they write


class Block:
    """Arrays that lie one behind the other: where in the arena, and how many of them are still read."""

    def __init__(self, arrays: list[np.ndarray]):
        self.arrays, self.alive, self.offset = arrays, len(arrays), 0


class Joined:
    """Linear layers on neighbouring rows: the numbers of their lines."""

    def __init__(self, number: int, line: Line):
        self.first, self.numbers = number, [number]
        self.read = [span_of(array) for array in line.operands]
        self.after = _behind(line.operands[0])

    def add(self, number: int, x: np.ndarray) -> None:
        self.numbers.append(number)
        self.read.append(span_of(x))
        self.after = _behind(x)


class Stacked:
    """Products that add to one gradient, one after the other: sums that go on where the last one ended.

    Their operands lie one behind the other in that order, and one product adds all, at the last of the lines.
    """

    def __init__(self, number: int, line: Line):
        self.first, self.numbers = number, [number]
        self.operands: list[list[np.ndarray]] = [[array] for array in line.operands]  # those on the left, on the right
        self.read = [span_of(line.outputs[0])]
        self.rows, self.bytes = len(line.operands[0]), max([array.nbytes for array in line.operands])

    @property
    def last(self) -> int:
        return self.numbers[-1]

    def add(self, number: int, line: Line) -> None:
        self.numbers.append(number)
        self.rows += len(line.operands[0])
        self.bytes += max([array.nbytes for array in line.operands])
        for mine, array in zip(self.operands, line.operands, strict=True):
            mine.append(array)


class Reordered:
    """A weight of which several lines read the columns: where it is needed, as a copy whose rows they read."""

    def __init__(self, number: int, weight: np.ndarray):
        self.first = self.last = number
        self.weight, self.read, self.uses = weight, [span_of(weight)], 1
        self.offset = 0  # of the copy in the arena


def joined(lines: list[Line], roots: dict[int, Any]) -> list[Joined]:
    """The products that can be done together."""
    found: list[Joined] = []
    open_: dict[tuple, Joined] = {}
    for number, line in enumerate(lines):
        _close(open_, line)
        if line.what != "operation" or line.operation.name != "linear":
            continue
        x, *layer = line.operands
        if not _is_given(x, line.outputs[0], roots) or not all(isinstance(a, np.ndarray) for a in layer):
            continue
        key = tuple([_place(array) for array in layer]), x.shape[1], x.dtype
        group = open_.get(key)
        if group is not None and group.after == address_of(x):
            group.add(number, x)
        else:
            open_[key] = Joined(number, line)
            found.append(open_[key])
    return [group for group in found if len(group.numbers) > 1]


def stacked(lines: list[Line], roots: dict[int, Any], placed: set[int]) -> list[Stacked]:
    """The products that add to a gradient of a weight and can be done together.

    placed : arrays whose place is determined already, by their ids.
    """
    found: list[Stacked] = []
    open_: dict[tuple, Stacked] = {}
    for number, line in enumerate(lines):
        adds = line.what == "accumulate" and getattr(line.operation, "name", "") == "linear_weight_gradient"
        key = (*_place(line.outputs[0]), *[x.dtype for x in line.operands]) if adds else None
        group = None if key is None else open_.pop(key, None)
        _close(open_, line)
        for other in [other for other, one in open_.items() if line.what != "zero" and _touches(line, one.read)]:
            del open_[other]
        if key is None:
            continue
        g, x = line.operands
        if g is not x and all([_is_made(array, roots) and id(array) not in placed for array in (g, x)]):
            placed.update((id(g), id(x)))
            if group is None or group.bytes + max(g.nbytes, x.nbytes) > LARGEST:
                group = Stacked(number, line)
                found.append(group)
            else:
                group.add(number, line)
            open_[key] = group
    return [group for group in found if len(group.numbers) > 1]


def _place(array: np.ndarray) -> tuple:
    return address_of(array), array.shape, array.strides


def _touches(line: Line, spans: list[tuple[int, int]]) -> bool:
    return any([a < high and low < b for array in line.arrays for low, high in [span_of(array)] for a, b in spans])


def _is_made(x: Any, roots: dict[int, Any]) -> bool:
    """Whether an array is the whole result of an earlier line, a matrix by rows."""
    return (x.ndim == 2 and x.base is None and x.flags.c_contiguous and x.nbytes % LINE == 0 and x.size > 0
            and roots[id(x)].key[0] == "line")


def _is_given(x: Any, output: np.ndarray, roots: dict[int, Any]) -> bool:
    """Whether the rows of x lie side by side in an array that is there from the beginning."""
    return (isinstance(x, np.ndarray) and x.ndim == 2 and x.size > 0 and x.flags.c_contiguous
            and roots[id(owner_of(x))].key[0] in GIVEN and output.base is None and output.flags.c_contiguous
            and output.nbytes % LINE == 0)


def reordered(lines: list[Line]) -> list[Reordered]:
    """The weights that are worth it."""
    found: list[Reordered] = []
    open_: dict[tuple, Reordered] = {}
    for number, line in enumerate(lines):
        _close(open_, line)
        if line.what != "operation" or line.operation.name != "linear_input_gradient":
            continue
        weight = line.operands[1]
        if not isinstance(weight, np.ndarray) or weight.strides[1] == weight.itemsize or weight.nbytes > LARGEST:
            continue
        key = _place(weight)
        if key in open_:
            open_[key].last = number
            open_[key].uses += 1
        else:
            open_[key] = Reordered(number, weight)
            found.append(open_[key])
    return [one for one in found if one.uses > 1]


def _close(open_: dict, line: Line) -> None:
    """Forget those that read what this line writes."""
    if line.what in PYTHON or line.what == "finite":
        open_.clear()
    elif line.what in ("accumulate", "overwrite", "zero"):
        low, high = span_of(line.outputs[0])
        for key in [key for key, one in open_.items() if any(a < high and low < b for a, b in one.read)]:
            del open_[key]


def _behind(x: np.ndarray) -> int:
    return address_of(x) + x.nbytes
