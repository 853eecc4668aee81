"""What a program does, for people: one line an instruction, and where its time goes."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.parameter import Parameter
from .recorder import Line, Recorder, _owner

PRODUCTS = ("linear", "matmul", "linear_input_gradient", "linear_weight_gradient")


class Names:
    """What the arrays of a recording are called: arguments and parameters by their names, the others %1, %2, ..."""

    def __init__(self, recorder: Recorder, arguments: Sequence[str]):
        self.recorder, self.arguments = recorder, arguments
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
        owner = _owner(array)
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
    """(text, first instruction, last + 1, whether a kernel does it) of each line."""
    found = []
    for line, begin, end, compiled in listing:
        found.append((_text(line, names), begin, end, compiled))
    return found


def _text(line: Line, names: Names) -> str:
    operands = ", ".join(map(names.of, line.operands))
    name = getattr(line.operation, "name", None)
    settings = "".join(f", {key}={names.of(value) if isinstance(value, np.ndarray) else value}"
                       for key, value in line.settings.items())
    made = ", ".join(names.of(x) for x in line.outputs if x is not None)
    if line.what == "operation":
        return f"{made} = {name}({operands}{settings})"
    if line.what == "function":
        return f"{made} = Python function({operands})"
    if line.what == "draw":
        return f"{made} = random numbers({operands})"
    if line.what == "accumulate":
        return f"{made} += {operands if name is None else f'{name}({operands})'}"
    if line.what == "overwrite":
        return f"{made} <- {operands}"
    if line.what == "zero":
        return f"{made} <- 0"
    if line.what == "call":
        owner = getattr(line.operation, "__self__", None)
        called = getattr(line.operation, "__name__", "function")
        return f"{type(owner).__name__}.{called}()" if owner is not None else f"{called}()"
    if line.what == "finite":
        return f"stop unless {operands} is finite"
    parameter: Parameter = line.operation
    return {"reached": f"{parameter.name} has a gradient", "cleared": f"{parameter.name} has no gradient",
            "changed": f"{getattr(parameter, 'name', 'a Tensor')} was changed"}[line.what]


def multiply_adds(line: Line) -> int:
    """Of a product; 0 for all else."""
    if getattr(line.operation, "name", "") not in PRODUCTS:
        return 0
    a = line.operands[0]
    output = line.outputs[0]
    inner = {"linear": a.shape[-1], "matmul": a.shape[-1], "linear_input_gradient": a.shape[-1],
             "linear_weight_gradient": a.size // a.shape[-1]}[line.operation.name]
    return output.size * inner


def shown(listing, names: Names, seconds: np.ndarray | None = None, peak: float = 0.0) -> str:
    """The listing as a text, with microseconds, GFLOP/s and the share of the core's peak where times are given."""
    texts = rows(listing, names)
    wide = max((len(text) for text, *_ in texts), default=0)
    wide = min(wide, 96)
    lines = []
    for (text, begin, end, compiled), (line, *_) in zip(texts, listing, strict=True):
        if line.what in ("reached", "cleared", "changed") and seconds is not None:
            continue
        note = "" if compiled else "in place"
        if seconds is not None:
            taken = float(seconds[begin:end].sum())
            note = f"{1e6 * taken:9.2f} µs"
            work = 2 * multiply_adds(line)
            if work and taken > 0:
                note += f"  {work / taken / 1e9:7.2f} GFLOP/s  {100 * work / taken / peak:5.1f} % of the peak"
            elif not compiled:
                note += "  in place"
        lines.append(f"{text:<{wide}}  {note}".rstrip())
    if seconds is not None:
        lines.append(f"{'total':<{wide}}  {1e6 * seconds.sum():9.2f} µs   (one core's peak: {peak / 1e9:.1f} GFLOP/s)")
    return "\n".join(lines)
