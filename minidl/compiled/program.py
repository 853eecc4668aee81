"""Builder: makes a program of a recording; each line becomes instructions over arrays of one memory block."""
from __future__ import annotations

from functools import partial

import numpy as np

from .. import arrays, kernels
from ..autograd import storage
from ..kernels.ledger import Line, address_of, owner_of, span_of
from ..kernels.replay import Replay
from . import lower_images, lower_sequences  # noqa: F401  their lowerings are registered by then
from .arena import Arena, strided
from .lower import _LOWERINGS, lower
from .places import finishes, in_place
from .products import Block, Reordered, joined, reordered, stacked
from .recorder import Recorder
from .slices import sliced


class Builder:
    """Lays out a recording's arrays and writes its program. ``results``: the arrays that the step returns."""

    def __init__(self, recorder: Recorder, results: list[np.ndarray]):
        self.recorder, self.results = recorder, results
        self.lines = _needed(recorder, results)
        self.program = Replay({dtype: kernels.of(dtype).TABLE for dtype in arrays.FLOATS})
        self.arena = Arena()
        self.numbers: dict[tuple, np.ndarray] = {}
        self.listing: list[tuple[Line, int, int, bool]] = []  # with the instructions that it became
        self._moved: dict[int, int] = {}  # the offsets of roots
        self._within: set[int] = set()  # lines that the instruction of the line before does, too
        self._joined = {number: group for group in joined(self.lines, recorder.roots) for number in group.numbers}
        self._stacked = {number: group for group in stacked(
            self.lines, recorder.roots, {id(self.lines[number].outputs[0]) for number in self._joined})
            for number in group.numbers}
        self._reordered = {one.first: one for one in reordered(self.lines)}
        self._sliced = {number: one for one in sliced(self.lines, {id(owner_of(array)) for array in results})
                        for number in one.numbers}
        self._rows: dict[tuple, tuple[np.ndarray, int]] = {}  # copies of weights, and the last lines that read them
        self._lay_out()

    # The memory of the arrays

    def _lay_out(self) -> None:
        roots, arena = self.recorder.roots, self.arena
        last: dict[int, int] = {}
        for number, line in enumerate(self.lines):
            for key in line.owners:
                last[key] = number
        for sum_ in self._sliced.values():
            for source, _ in sum_.parts:
                last[id(owner_of(source))] = max(last[id(owner_of(source))], sum_.last)
        lasting = {id(owner_of(array)) for array in self.results}
        groups: dict[int, Block] = {}  # by the array
        for stack in self._stacked.values():
            for operands in stack.operands:
                if id(operands[0]) not in groups:
                    groups.update(dict.fromkeys(map(id, operands), Block(operands)))  # until the last one was read
        for joined_ in self._joined.values():
            if joined_.first in self._joined and id(self.lines[joined_.first].outputs[0]) not in groups:
                outputs = [self.lines[number].outputs[0] for number in joined_.numbers]
                groups.update(dict.fromkeys(map(id, outputs), Block(outputs)))
        for line in self.lines:  # a Python function may keep its inputs, for its derivative
            if line.what == "function":
                lasting.update(line.owners)
        for argument in self.recorder.arguments:
            if argument is not None:
                self._moved[id(argument)] = arena.place(argument.nbytes)
        for key, root in roots.items():
            if root.key[0] == "constant" and key in last:
                self._moved[key] = arena.place(root.array.nbytes)
        same = in_place(self.lines, roots, last, lasting | groups.keys())
        ends: dict[int, list[int]] = {}
        for key, number in last.items():
            if roots[key].key[0] == "line" and key not in lasting and key not in same:
                ends.setdefault(number, []).append(key)
        done: dict[int, list[Reordered]] = {}
        for number, line in enumerate(self.lines):
            if number in self._reordered:
                one = self._reordered[number]
                one.offset = arena.place(one.weight.nbytes)
                done.setdefault(one.last, []).append(one)
            for key in line.owners:
                if roots[key].key[0] == "line" and key not in self._moved and key not in same:
                    if key in groups:
                        self._place_together(groups[key])
                    else:
                        self._moved[key] = arena.place(roots[key].array.nbytes)
            for key in ends.get(number, ()):
                if key not in groups:
                    arena.free(self._moved[key])
                    continue
                groups[key].alive -= 1
                if groups[key].alive == 0:
                    arena.free(groups[key].offset)
            for one in done.get(number, ()):
                arena.free(one.offset)
        for key, place in same.items():
            self._moved[key] = self._moved[place]
        for array in self.results:
            key = id(owner_of(array))
            if key not in self._moved and roots[key].key[0] == "line":
                self._moved[key] = arena.place(roots[key].array.nbytes)
        arena.allocate()
        for key, root in roots.items():
            if key in self._moved and root.key[0] == "constant":
                self.array(root.array)[...] = root.array

    def _place_together(self, block: Block) -> None:
        """Arrays of products that are one product lie one behind the other."""
        block.offset = offset = self.arena.place(sum([array.nbytes for array in block.arrays]))
        for array in block.arrays:
            self._moved[id(array)] = offset
            offset += array.nbytes

    def array(self, array: np.ndarray) -> np.ndarray:
        """The program's array in place of one of the recording."""
        owner = owner_of(array)
        offset = self._moved.get(id(owner))
        if offset is None:
            return array
        return self.arena.array(offset + address_of(array) - address_of(owner), array.shape, array.dtype, array.strides)

    def number(self, value, dtype) -> np.ndarray:
        """A number as an array of one element, rounded to the element type."""
        array = np.asarray(value, dtype)
        key = array.dtype.str, array.tobytes()
        made = self.numbers.get(key)
        if made is None:
            made = self.numbers[key] = storage.aligned(1, dtype).reshape(())
            made[...] = array
        return made

    def scratch(self, shape: tuple[int, ...], dtype) -> np.ndarray:
        """Memory that one instruction writes for another."""
        return storage.aligned(int(np.prod(shape)), dtype).reshape(shape)

    def owns(self, array: np.ndarray) -> bool:
        """Whether the program alone writes to this array's memory."""
        return owner_of(array) is self.arena.memory

    # Instructions

    def build(self) -> Replay:
        """The program, without its guards."""
        overwriting = _overwriting(self.lines)
        for number, line in enumerate(self.lines):
            begin, compiled = len(self.program), True
            self._reorder(number)
            if number in self._joined and self._join(number):
                pass
            elif number in self._sliced:
                compiled = self._slices(number)
            elif line.what == "operation":
                compiled = number in self._within or self._operation(line, number)
            elif line.what == "accumulate":
                compiled = self._stack(number, overwriting) or self._accumulate(line, number in overwriting)
            elif line.what == "overwrite":
                self._copy(self.array(line.outputs[0]), line.operands[0])
            elif line.what == "call":
                self.program.call(line.operation)
                compiled = False
            elif line.what in ("function", "draw"):
                self._call_function(line)
                compiled = False
            elif line.what == "zero":
                if number not in overwriting:
                    self._zero(line.outputs[0])
            elif line.what == "finite":
                self.program.finite(self.array(line.operands[0]).reshape(1, 1))
            else:
                self.program.mark(line.what, line.operation.status)
            self.listing.append((line, begin, len(self.program), compiled))
        return self.program

    def _moved_in(self, value):
        """A setting or an operand, with the program's arrays in place of the recording's."""
        if isinstance(value, np.ndarray):
            return self.array(value)
        if isinstance(value, (tuple, list)):
            return type(value)(self._moved_in(item) for item in value)
        return value

    def _operation(self, line: Line, number: int) -> bool:
        operands = [self._moved_in(x) for x in line.operands]
        settings = {name: self._moved_in(value) for name, value in line.settings.items()}
        output = self.array(line.outputs[0])
        if self._finishes(number) and lower(
                self, line.operation.name, operands, settings | {"relu": True}, output):
            self._within.add(number + 1)
            return True
        if lower(self, line.operation.name, operands, settings, output):
            return True
        value = line.operation.value

        def call():
            output[...] = value(*operands, **settings)

        self.program.call(call)
        return False

    def _finishes(self, number: int) -> bool:
        """Whether the next line is a ReLU that this line's kernel can do within."""
        return number + 1 < len(self.lines) and finishes(self.lines[number + 1], self.lines[number], self.array)

    def _join(self, number: int) -> bool:
        """At the first line of products that are one, that product; False if it has no kernel."""
        group = self._joined[number]
        if number != group.first:
            return True
        lines = [self.lines[i] for i in group.numbers]
        x, *layer = [self._moved_in(operand) for operand in lines[0].operands]
        output = self.array(lines[0].outputs[0])
        rows = sum([len(line.operands[0]) for line in lines])
        whole = [strided(array, (rows, array.shape[1]), (array.shape[1] * array.itemsize, array.itemsize))
                 for array in (x, output)]
        if whole[0] is not None and whole[1] is not None and lower(self, "linear", [whole[0], *layer], {}, whole[1]):
            return True
        for i in group.numbers:
            del self._joined[i]
        return False

    def _slices(self, number: int) -> bool:
        """At the last line of a sum of slices, all of them; whether kernels do it."""
        one = self._sliced[number]
        if number != one.last:
            return True
        output, compiled = self.array(self.lines[number].outputs[0]), True
        if not one.covers(output.shape[one.axis]):
            self._zero(output)
        for source, index in one.parts:
            source, zeros = self.array(source), self.scratch(source.shape[-1:], source.dtype)
            part = output[index].reshape(source.shape)
            if source.strides[-1] != source.itemsize and lower(self, "clone", [source], {}, part):
                source = part  # the copy turns blocks of a matrix, which an addition does not
            if not lower(self, "add", [source, zeros], {}, part):
                self.program.call(partial(np.add, source, zeros, part))
                compiled = False
        return compiled

    def _stack(self, number: int, fresh: set[int]) -> bool:
        """At the last line of products that add to one gradient, their sum; False for another line."""
        stack = self._stacked.get(number)
        if stack is None or number != stack.last:
            return stack is not None
        target = self.lines[number].outputs[0]
        matrices = [strided(self.array(first), (stack.rows, first.shape[1]), (first.shape[1] * first.itemsize,
                                                                              first.itemsize))
                    for first, *_ in stack.operands]
        _LOWERINGS["linear_weight_gradient"](  # which takes all that stacked() finds
            self, "linear_weight_gradient", matrices, {}, target, accumulates=stack.first not in fresh)
        return True

    def _reorder(self, number: int) -> None:
        """Before the first line that reads a weight's columns, copy it, so that rows are read."""
        self._rows = {key: found for key, found in self._rows.items() if found[1] >= number}
        one = self._reordered.get(number)
        if one is not None:
            weight = self.array(one.weight)
            rows = self.arena.array(one.offset, weight.shape, weight.dtype)
            if lower(self, "clone", [weight], {}, rows):
                self._rows[address_of(weight), weight.shape, weight.strides] = rows, one.last

    def by_rows(self, weight: np.ndarray) -> np.ndarray:
        """The weight, or the copy of it that lies by rows, if there is one now."""
        return self._rows.get((address_of(weight), weight.shape, weight.strides), (weight, 0))[0]

    def _call_function(self, line: Line) -> None:
        operands = [self._moved_in(x) for x in line.operands]
        outputs = [None if x is None else self.array(x) for x in line.outputs]
        function = line.operation

        def call():
            found = function(*operands)
            for output, value in zip(outputs, [found] if isinstance(found, np.ndarray) else found, strict=True):
                if output is not None:
                    output[...] = value

        self.program.call(call)

    def _zero(self, target: np.ndarray) -> None:
        flat = strided(target, (1, target.size), (0, target.itemsize))
        if flat is not None:
            self.program.kernel("zero", flat.dtype, flat)

    def _accumulate(self, line: Line, overwrite: bool) -> bool:
        """Add to a gradient: an array (without an operation), or what an operation's kernel adds in place.

        overwrite : the gradient counts as zero, though no zeros have been written.
        """
        target, = line.outputs
        operands = [self._moved_in(x) for x in line.operands]
        operation = line.operation
        if operation is None:
            if lower(self, "add", [0.0 if overwrite else target, operands[0]], {}, target):
                return True
            if overwrite:
                self._zero(target)
            given, = operands

            def add():
                np.add(target, given, out=target)

            self.program.call(add)
            return False
        lowered = _LOWERINGS.get(operation.name)
        if lowered is not None and lowered(
                self, operation.name, operands, dict(line.settings), target, accumulates=not overwrite):
            return True
        if overwrite:
            self._zero(target)

        def call():
            operation.add(target, *operands, **line.settings)

        self.program.call(call)
        return False

    def _copy(self, target: np.ndarray, value) -> None:
        value = self._moved_in(value)
        if isinstance(value, np.ndarray) and lower(self, "clone", [value], {}, target):
            return

        def copy():
            target[...] = value

        self.program.call(copy)


def _overwriting(lines: list[Line]) -> set[int]:
    """The lines that set a gradient to zero, and the lines that are the next to use it and add to all of it.

    These overwrite the gradient instead, and no zeros are written.
    """
    found: set[int] = set()
    waiting: dict[tuple, int] = {}  # by memory, the line that set it to zero
    for number, line in enumerate(lines):
        if line.what == "call" or line.what == "function":  # which may read all gradients
            waiting.clear()
        elif line.what == "zero":
            waiting[span_of(line.outputs[0])] = number
        elif line.what == "accumulate" and (zero := waiting.pop(span_of(line.outputs[0]), None)) is not None:
            found |= {zero, number}
        elif line.what in ("operation", "draw", "accumulate", "overwrite", "finite"):
            touched = [span_of(array) for array in line.arrays]
            for key in [key for key in waiting if any(a[0] < key[1] and key[0] < a[1] for a in touched)]:
                del waiting[key]
    return found


def _needed(recorder: Recorder, results: list[np.ndarray]) -> list[Line]:
    """The lines, without operations whose output no later line reads."""
    read = {id(owner_of(array)) for array in results}
    lines = []
    for line in reversed(recorder.lines):
        if line.what == "operation" and not any(
                id(owner_of(x)) in read for x in line.outputs):
            continue
        lines.append(line)
        read.update(line.owners)
    return lines[::-1]
