"""Products of a program that are done together, with the same bits.

Layers that are applied to neighbouring rows of one array, as in a loop over time, are one product: no row of a product
depends on the others. A weight that several input gradients read is put into the order in which they read it once, not
by each product for itself.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.ledger import Line, address_of, owner_of, span_of

GIVEN = ("argument", "constant", "outside")  # arrays that are there before the first line
LARGEST = 256 * 1024  # bytes of a weight that is reordered; the rows of larger ones are copied by the product anyway
LINE = 64  # bytes: the outputs of joined products begin on lines of the cache
PYTHON = ("call", "function")  # lines of which nobody knows what they write


class Joined:
    """Linear layers on neighbouring rows: the numbers of their lines."""

    def __init__(self, number: int, line: Line):
        self.first, self.numbers = number, [number]
        self.read = [span_of(array) for array in line.operands]
        self.after = _behind(line.operands[0])
        self.offset = 0  # of the outputs in the arena
        self.alive = 0  # those that are still read

    def add(self, number: int, x: np.ndarray) -> None:
        self.numbers.append(number)
        self.read.append(span_of(x))
        self.after = _behind(x)


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
        key = tuple([(address_of(array), array.shape, array.strides) for array in layer]), x.shape[1]
        group = open_.get(key)
        if group is not None and group.after == address_of(x):
            group.add(number, x)
        else:
            open_[key] = Joined(number, line)
            found.append(open_[key])
    return [group for group in found if len(group.numbers) > 1]


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
        key = address_of(weight), weight.shape, weight.strides
        if key in open_:
            open_[key].last = number
            open_[key].uses += 1
        else:
            open_[key] = Reordered(number, weight)
            found.append(open_[key])
    return [one for one in found if one.uses > 1]


def _close(open_: dict, line: Line) -> None:
    """Forget those that read what this line writes."""
    if line.what in PYTHON:
        open_.clear()
    elif line.what in ("accumulate", "overwrite", "zero"):
        low, high = span_of(line.outputs[0])
        for key in [key for key, one in open_.items() if any(a < high and low < b for a, b in one.read)]:
            del open_[key]


def _behind(x: np.ndarray) -> int:
    return address_of(x) + x.nbytes
