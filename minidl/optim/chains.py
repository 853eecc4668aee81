"""A recorded rule as the operations of a chain: products are joined with sums, and each value gets a slot."""
from __future__ import annotations

from typing import Any

from .. import kernels
from .recording import Recording, numbers
from .symbols import Node

COMMUTATIVE = {"add", "multiply"}


class _Writer:
    """Writes the operations of one recording."""

    def __init__(self, recording: Recording, arrays: int):
        self.arrays, self.outputs = arrays, recording.outputs
        self.nodes: list[Node] = list(recording.trace.arrays)
        self.used: list[int] = []  # the numbers that operations on arrays read, in their order
        self._live()
        self.text = self._text()
        self._join()

    def _live(self) -> None:
        """Select what the outputs need, sort operands, and number the numbers that arrays are combined with."""
        needed = {place for kind, place in self.outputs.values() if kind == "array"}
        for i in reversed(range(len(self.nodes))):
            if i in needed and self.nodes[i][0] != "place":
                needed |= {place for kind, place in self.nodes[i][1:] if kind == "array"}
        self.order = sorted(i for i in needed if self.nodes[i][0] != "place")
        for i in self.order:
            name, *operands = self.nodes[i]
            if name in COMMUTATIVE:
                operands.sort(key=lambda operand: operand[0] == "array")  # numbers first
            self.nodes[i] = (name, *operands)
        met = [operand for i in self.order for operand in self.nodes[i][1:]] + list(self.outputs.values())
        for kind, place in met:
            if kind == "number" and place not in self.used:
                self.used.append(place)

    def _text(self) -> str:
        """The text of the chain, the same for all rules that compute the same."""
        temporaries = {place: f"t{k}" for k, place in enumerate(self.order)}

        def word(operand: tuple[str, int]) -> str:
            kind, place = operand
            if kind == "number":
                return f"n{self.used.index(place)}"
            return temporaries.get(place) or self._place_word(self.nodes[place][1])

        lines = [" ".join([temporaries[i], "=", self.nodes[i][0], *map(word, self.nodes[i][1:])]) for i in self.order]
        written = [f"{self._place_word(place)} = {word(value)}" for place, value in self.outputs.items()
                   if self._input_of(value) != place]
        return "; ".join(lines + written)

    @staticmethod
    def _place_word(place: int) -> str:
        return ("w", "g")[place] if place < 2 else f"s{place - 2}"

    def _input_of(self, operand: tuple[str, int]) -> int | None:
        """The place that this operand is read from, if it is a place."""
        kind, i = operand
        return self.nodes[i][1] if kind == "array" and self.nodes[i][0] == "place" else None

    def _join(self) -> None:
        """Join a product that is read once with the sum that reads it."""
        reads: dict[int, int] = {}
        for kind, place in [o for i in self.order for o in self.nodes[i][1:]] + list(self.outputs.values()):
            if kind == "array":
                reads[place] = reads.get(place, 0) + 1

        def product(operand: tuple[str, int]) -> bool:
            kind, i = operand
            return kind == "array" and reads[i] == 1 and self.nodes[i][0] == "multiply"

        joined = set()
        for i in self.order:
            name, *operands = self.nodes[i]
            if name == "add" and product(operands[0]) and product(operands[1]):
                name = "two_products"
            elif name == "add" and (product(operands[0]) or product(operands[1])):
                name, operands = "product_and", operands if product(operands[0]) else operands[::-1]
            elif name == "subtract" and product(operands[1]):
                name, operands = "less_product", operands[::-1]
            else:
                continue
            parts: list[tuple[str, int]] = []
            for k, operand in enumerate(operands):
                if product(operand) and (k == 0 or name == "two_products"):
                    _, place = operand
                    parts += self.nodes[place][1:]
                    joined.add(place)
                else:
                    parts.append(operand)
            self.nodes[i] = (name, *parts)
        self.order = [i for i in self.order if i not in joined]

    def operations(self) -> tuple[list[tuple], int]:
        """(name, y, a, b, c, d) of each operation, in slots, and how many temporaries they take."""
        begin = self.arrays + len(self.used)
        slots: dict[int, int] = {i: node[1] for i, node in enumerate(self.nodes) if node[0] == "place"}
        last: dict[int, int] = {}       # the last operation that reads a value
        for position, i in enumerate(self.order):
            last.update({place: position for kind, place in self.nodes[i][1:] if kind == "array"})
        direct = self._direct(last)     # value -> the place that it is written to at once
        kept = {value for kind, value in self.outputs.values() if kind == "array"}
        free: list[int] = []
        count = 0
        written: list[tuple] = []

        def temporary() -> int:
            nonlocal count
            if not free:
                free.append(begin + count)
                count += 1
            return free.pop()

        def slot(operand: tuple[str, int]) -> int:
            kind, place = operand
            return self.arrays + self.used.index(place) if kind == "number" else slots[place]

        for position, i in enumerate(self.order):
            name, *operands = self.nodes[i]
            sources = [slot(operand) for operand in operands]
            for value in {place for kind, place in operands if kind == "array"}:
                if last[value] == position and value not in kept and slots[value] >= begin:
                    free.append(slots[value])
            slots[i] = direct[i] if i in direct else temporary()
            written.append((name, slots[i], *(sources + [sources[0]] * 4)[:4]))
        copies = []
        for place, operand in self.outputs.items():
            source = slot(operand)
            if source == place:
                continue
            if source < self.arrays and self._input_of(operand) is not None:  # it may be overwritten by another copy
                put_by = temporary()
                written.append(("copy", put_by, source, source, source, source))
                source = put_by
            copies.append(("copy", place, source, source, source, source))
        return written + copies, count

    def _direct(self, last: dict[int, int]) -> dict[int, int]:
        """The values that can be written to their destination, which no later operation reads."""
        position = {i: k for k, i in enumerate(self.order)}
        inputs = {node[1]: i for i, node in enumerate(self.nodes) if node[0] == "place"}
        read_at_the_end = {self._input_of(operand) for place, operand in self.outputs.items()
                           if self._input_of(operand) != place}
        direct: dict[int, int] = {}
        for place, (kind, value) in self.outputs.items():
            if kind == "array" and value in position and value not in direct and place not in read_at_the_end \
                    and last.get(inputs.get(place, -1), -1) <= position[value]:
                direct[value] = place
        return direct


def chain(recording: Recording, settings: dict[str, Any], arrays: int, dtype: Any, whole: bool = True) -> Any:
    """The chain of a recording, over w, g and the state; whole : in one loop, if there is one for it."""
    writer = _Writer(recording, arrays)
    trace = recording.trace
    table: list[tuple[str, int, int, float]] = []
    for rule, *operands in trace.numbers:
        if rule == "constant":
            table.append((rule, 0, 0, float(operands[0])))
        else:
            table.append((rule, *[*operands, 0, 0][:2], 0.0))
    guards = [(*comparison, outcome) for comparison, outcome in trace.guards.items()]
    operations, temporaries = writer.operations()
    return kernels.of(dtype).Chain(writer.text, arrays, len(numbers(settings)), table, guards, writer.used,
                                   operations, temporaries, whole)
