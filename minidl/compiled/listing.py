"""A program as a text for people: its lines, and the time that each takes."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..kernels.ledger import Line, address_of, owner_of
from ..optim.optimizer import Optimizer
from .nesting import Place
from .recorder import Recorder

PRODUCTS = ("linear", "matmul", "linear_input_gradient", "linear_weight_gradient")


class Names:
    """Names for the arrays of a recording: those of arguments and parameters, and %1, %2, ... for the others."""

    def __init__(self, recorder: Recorder, arguments: Sequence[str]):
        self.recorder, self.arguments = recorder, arguments
        self.functions = {id(line): told[1] for line, told in zip(recorder.lines, recorder.signature, strict=True)
                          if line.what in ("function", "call")}
        self.spans: dict[int, list[tuple[int, int, str]]] = {}  # of the parameters in their stores
        for parameter in recorder.parameters.values():
            for store, suffix in ((parameter.store.values, ""), (parameter.store.gradients, ".grad")):
                begin = parameter.start * store.itemsize
                self.spans.setdefault(id(store), []).append(
                    (begin, begin + parameter.numel() * store.itemsize, f"{parameter.name}{suffix}"))
        self.numbers: dict[int, int] = {}

    def of(self, value: Any) -> str:
        """An operand: its name and its shape, or the number that it is."""
        if not isinstance(value, np.ndarray):
            return f"{value:g}" if isinstance(value, float) else str(value)
        return f"{self._name(value)}[{', '.join(map(str, value.shape))}]"

    def _name(self, array: np.ndarray) -> str:
        owner = owner_of(array)
        root = self.recorder.roots[id(owner)]
        kind = root.key[0]
        if kind == "argument":
            return self.arguments[root.key[1]] if root.key[1] < len(self.arguments) else f"argument {root.key[1]}"
        if kind in ("values", "gradients"):
            offset = array.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
            for begin, end, name in self.spans.get(id(owner), ()):
                if begin <= offset < end:
                    return name
            return kind
        if kind == "constant":
            return "constant"
        if kind == "outside":
            return "array"
        return f"%{self.numbers.setdefault(id(owner), len(self.numbers) + 1)}"


def rows(listing: Sequence[tuple[Line, int, int, bool]], names: Names) -> list[tuple[str, int, int, bool]]:
    """(text, first instruction, last + 1, whether a kernel does it) of each line that is shown."""
    unwritten = {id(line.outputs[0]) for line, begin, end, _ in listing if line.what == "zero" and begin == end}
    found = []
    for line, begin, end, compiled in told(listing):
        text = _text(line, names)
        if line.what == "accumulate" and id(line.outputs[0]) in unwritten:  # to zeros that are not written
            unwritten.remove(id(line.outputs[0]))
            text = text.replace(" += ", " = ", 1)
        found.append((text, begin, end, compiled))
    return found


def told(listing: Sequence[tuple[Line, int, int, bool]]) -> list[tuple[Line, int, int, bool]]:
    """The lines that compute or move numbers: no changes of a parameter's status, no zeros that are not written."""
    return [(line, begin, end, compiled) for line, begin, end, compiled in listing
            if line.what not in ("reached", "cleared", "changed") and not (line.what == "zero" and begin == end)]


def _text(line: Line, names: Names) -> str:
    operands = ", ".join(map(names.of, line.operands))
    name = getattr(line.operation, "name", None)
    settings = "".join(f", {key}={names.of(value) if isinstance(value, np.ndarray) else value}"
                       for key, value in line.settings.items())
    made = ", ".join(names.of(x) for x in line.outputs if x is not None)
    if line.what == "operation":
        return f"{made} = {name}({operands}{settings})"
    if line.what == "function":
        return f"{made} = {names.functions[id(line)].removesuffix('()')}({operands})"
    if line.what == "draw":
        return f"{made} = random numbers({operands})"
    if line.what == "accumulate":
        return f"{made} += {operands if name is None else f'{name}({operands})'}"
    if line.what == "overwrite":
        return f"{made} <- {operands}"
    if line.what == "zero":
        return f"{made} <- 0"
    if line.what == "call":
        return f"{names.functions[id(line)].removesuffix('()')}()"
    return f"stop unless {operands} is finite"


def argument_names(nesting, names: Sequence[str]) -> list[str]:
    """The names of the arrays among the arguments: x, batch[0], options['mask'], or a number."""
    args, named = nesting
    found: dict[int, str] = {}

    def name(value, text: str) -> None:
        if type(value) is Place:
            found[value] = text
        elif isinstance(value, (tuple, list)):
            for i, item in enumerate(value):
                name(item, f"{text}[{i}]")
        elif isinstance(value, dict):
            for key, item in value.items():
                name(item, f"{text}[{key!r}]")

    for i, value in enumerate(args):
        name(value, names[i] if i < len(names) else f"argument {i + 1}")
    for key, value in named.items():
        name(value, key)
    return [found.get(i, f"argument {i + 1}") for i in range(len(found))]


def multiply_adds(line: Line) -> int:
    """The number of multiply-adds in a product; 0 for another line."""
    if getattr(line.operation, "name", "") not in PRODUCTS:
        return 0
    a = line.operands[0]
    output = line.outputs[0]
    inner = {"linear": a.shape[-1], "matmul": a.shape[-1], "linear_input_gradient": a.shape[-1],
             "linear_weight_gradient": a.size // a.shape[-1]}[line.operation.name]
    return output.size * inner


def _works(listing) -> list[int]:
    """The multiply-adds of each line; those of a product that is done with another one count there."""
    works = [multiply_adds(line) for line, *_ in listing]
    for n, (line, begin, end, _) in enumerate(listing):
        if works[n] and begin == end:
            forward = line.what == "operation"  # else the sum of all is done at the last
            there = (range(n - 1, -1, -1) if forward else range(n + 1, len(listing)))
            other = next(i for i in there if works[i] and listing[i][1] < listing[i][2] and _joins(line, listing[i][0]))
            works[n], works[other] = 0, works[other] + works[n]
    return works


def _joins(line: Line, other: Line) -> bool:
    """Whether two products have one operation, and one weight or one gradient."""
    if line.operation is not other.operation:
        return False
    if line.what == "operation":
        return address_of(line.operands[1]) == address_of(other.operands[1])
    return address_of(line.outputs[0]) == address_of(other.outputs[0])


def _where(line: Line) -> str:
    """What runs a line that has no kernel."""
    owner = getattr(line.operation, "__self__", None)  # none of a user's own step()
    if line.what == "call" and isinstance(owner, Optimizer):
        return "in place" if owner.reason else "a program of its own"
    return "in place"


def shown(listing, names: Names, seconds: np.ndarray | None = None, peak: float = 0.0) -> str:
    """The listing as a text, with microseconds, GFLOP/s and the share of the core's peak where times are given."""
    texts, listing = rows(listing, names), told(listing)
    wide = max((len(text) for text, *_ in texts), default=0)
    wide = min(wide, 96)
    lines = []
    works = _works(listing)
    for (text, begin, end, compiled), (line, *_), adds in zip(texts, listing, works, strict=True):
        note = where = "" if compiled else _where(line)
        if begin == end and multiply_adds(line):
            note = "with the first" if line.what == "operation" else "with the last"
        elif seconds is not None:
            taken = float(seconds[begin:end].sum())
            note = f"{1e6 * taken:9.2f} µs"
            work = 2 * adds
            if work and taken > 0:
                note += f"  {work / taken / 1e9:7.2f} GFLOP/s  {100 * work / taken / peak:5.1f} % of the peak"
            elif where:
                note += f"  {where}"
        lines.append(f"{text:<{wide}}  {note}".rstrip())
    if seconds is not None:
        lines.append(f"{'total':<{wide}}  {1e6 * seconds.sum():9.2f} µs   (one core's peak: {peak / 1e9:.1f} GFLOP/s)")
    return "\n".join(lines)
