"""Which arrays of a program take the place of another, so that less memory passes through the caches."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..kernels.ledger import Line, address_of, owner_of


def in_place(lines: list[Line], roots: dict[int, Any], last: dict[int, int], apart: set[int]) -> dict[int, int]:
    """The outputs of elementwise operations that lie where an operand lies, by their ids; ``last`` follows.

    So where nobody reads the operand afterwards. So, too, where only the operation's derivative reads it, and would
    compute the same from the output (``output_serves``: ReLU).

    last : by the array, the last line that reads or writes it. apart : arrays that keep a place of their own.
    """
    readers: dict[int, list[int]] = {}
    for number, line in enumerate(lines):
        for key in set(line.owners):
            readers.setdefault(key, []).append(number)
    found: dict[int, int] = {}
    for number, line in enumerate(lines):
        if not _is_elementwise(line):
            continue
        output, = line.outputs
        for x in line.operands:
            if not _fits(x, output, line, roots) or apart & {id(owner_of(x)), id(owner_of(output))}:
                continue
            key, made = id(owner_of(x)), id(owner_of(output))
            place = found.get(key, key)
            if last[place] == number or (place == key and _output_serves(lines, number, x, readers[key])):
                found[made] = place
                last[place] = max(last[place], last[made])
                break
    return found


def _is_elementwise(line: Line) -> bool:
    operation = line.operation
    if line.what != "operation" or operation.kernel is None or "dim" in operation.settings or len(line.outputs) != 1:
        return False
    return not any(isinstance(value, (np.ndarray, tuple, list)) for value in line.settings.values())


def _fits(x, output: np.ndarray, line: Line, roots: dict[int, Any]) -> bool:
    """Whether an operand is the whole result of a line, lies as the output does, and is read in no other way."""
    if not isinstance(x, np.ndarray) or not x.size or x.nbytes != owner_of(x).nbytes:
        return False
    if output.nbytes != owner_of(output).nbytes or owner_of(output) is owner_of(x):
        return False
    if (x.shape, x.strides, x.dtype) != (output.shape, output.strides, output.dtype):
        return False
    if roots[id(owner_of(x))].key[0] != "line" or roots[id(owner_of(output))].key[0] != "line":
        return False
    return all(owner_of(other) is not owner_of(x) or _same_place(other, x)
               for other in line.operands if isinstance(other, np.ndarray))


def _output_serves(lines: list[Line], number: int, x: np.ndarray, readers: list[int]) -> bool:
    """Whether only the derivative of the operation reads its input x, which may then be the output."""
    operation = lines[number].operation
    if operation.output_serves is not True:
        return False
    for later in readers:
        line = lines[later]
        if later > number and (line.what != "operation" or line.operation.name != f"{operation.name}_backward"
                               or not isinstance(line.operands[1], np.ndarray) or not _same_place(line.operands[1], x)
                               or owner_of(line.operands[0]) is owner_of(x)):
            return False
    return True


def finishes(line: Line, before: Line, array: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Whether a line is a ReLU, or its derivative, that the kernel of the line before it can do in the same place.

    array : the program's array in place of one of the recording.
    """
    if line.what != "operation" or before.what != "operation":
        return False
    kinds = before.operation.name, line.operation.name
    if kinds == ("convolution", "relu"):
        same = [(before.outputs[0], line.operands[0]), (before.outputs[0], line.outputs[0])]
    elif kinds == ("max_pool_backward", "relu_backward"):  # whose x is where ReLU's output lies
        same = [(before.outputs[0], line.operands[0]), (before.outputs[0], line.outputs[0]),
                (before.operands[1], line.operands[1])]
    else:
        return False
    return all([_same_place(array(a), array(b)) for a, b in same])


def _same_place(a: np.ndarray, b: np.ndarray) -> bool:
    return (address_of(a), a.shape, a.strides, a.dtype) == (address_of(b), b.shape, b.strides, b.dtype)
