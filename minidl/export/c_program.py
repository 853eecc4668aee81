"""A recorded prediction as calls of the kernels of the folder c, with the memory that they use."""
from __future__ import annotations

import ctypes
from dataclasses import dataclass, field

import numpy as np

from ..compiled.program import Builder
from ..compiled.step import Recording
from ..kernels.ledger import Line, address_of, owner_of, span_of
from .c_lower import LOWERINGS
from .recording import ExportError

FLOAT = np.dtype(np.float32)
TYPES = {FLOAT: "float", np.dtype(np.int64): "int64_t", np.dtype(bool): "unsigned char"}


@dataclass
class Instruction:
    """A kernel with its operands, as kernels/replay.pyx takes them."""

    name: str
    out: np.ndarray
    a: np.ndarray | None = None
    b: np.ndarray | None = None
    c: np.ndarray | None = None
    bias: np.ndarray | None = None
    setting: float = 0.0
    settings: tuple = ()
    geometry: tuple | None = None


@dataclass
class Instructions:
    """Takes what the lowerings say to a program, and keeps it."""

    found: list[Instruction] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.found)

    def call(self, function) -> None:
        """A Python function, of which the line's operation is told to the user."""

    def kernel(self, name, dtype, out, a=None, b=None, c=None, *, setting=0.0, accumulates=False, number=None,
               setting_from=None, who="", geometry=None, settings=(), bias=None) -> None:
        if dtype != FLOAT:
            raise ExportError(f"export_c: expected a model in float32, got one that computes in {dtype}")
        if out is None or accumulates or number is not None or setting_from is not None:
            raise ExportError(f"export_c: the kernel {name} has no C text in this form")
        self.found.append(Instruction(name, out, a, b, c, bias, float(setting), settings, geometry))


class CProgram(Builder):
    """The instructions of a recording, and where each operand lies: ``text_of(array)`` is its address in C.

    What is computed lies in ``memory``, of so many bytes; what a kernel copies for another in ``scratch0`` and so on;
    what it reads and never writes in constants, of which only the elements in use are kept.
    """

    def __init__(self, recording: Recording, inputs: list[str]):
        super().__init__(recording.recorder, recording.tensors)
        self.instructions = Instructions()
        self.program = self.instructions  # type: ignore[assignment]
        self.scratches: list[np.ndarray] = []
        self.inputs = list(zip(recording.recorder.arguments, inputs, strict=True))
        kinds = {key: recording.recorder.roots[key].key[0] for key in self._moved}
        # Inputs and constants lie before what is computed, and are not copied
        first = min([offset for key, offset in self._moved.items() if kinds[key] == "line"], default=self.arena.end)
        self.base, self.bytes = address_of(self.arena.memory) + first, self.arena.end - first
        self.build()
        self.outputs = [self.array(array) for array in recording.tensors]
        read = [(*span_of(x), x.dtype) for ins in self.instructions.found for x in (ins.a, ins.b, ins.c, ins.bias)
                if x is not None and self._variable(x) is None]
        read += [(*span_of(x), x.dtype) for x in self.outputs if self._variable(x) is None]
        self.constants: list[tuple[int, int, np.dtype]] = []  # (begin, end, dtype) in memory
        for low, high, dtype in sorted(read, key=lambda span: span[:2]):
            if self.constants and low < self.constants[-1][1]:
                begin, end, dtype = self.constants.pop()
                low, high = begin, max(end, high)
            self.constants.append((low, high, dtype))
        # By their first use: the same model gives the same text, wherever its weights lie
        self.constants.sort(key=lambda span: next(i for i, (low, *_) in enumerate(read) if span[0] <= low < span[1]))

    def scratch(self, shape: tuple[int, ...], dtype) -> np.ndarray:
        made = super().scratch(shape, dtype)
        self.scratches.append(owner_of(made))
        return made

    def owns(self, array: np.ndarray) -> bool:
        return True  # an index is checked where it is used

    def _finishes(self, number: int) -> bool:
        return False  # a text for each operation

    def _operation(self, line: Line, number: int) -> bool:
        output = line.outputs[0]
        if not super()._operation(line, number) and not self._made_of_others(line):
            raise ExportError(f"export_c: the operation {line.operation.name} has no kernel for {output.dtype} of "
                              f"shape {output.shape}, and so no C text: use operations that have one")
        return True

    def _made_of_others(self, line: Line) -> bool:
        lowering = LOWERINGS.get(line.operation.name)
        operands, output = [self._moved_in(x) for x in line.operands], self.array(line.outputs[0])
        return lowering is not None and lowering(self, operands, line.settings, output)

    def _variable(self, array: np.ndarray) -> tuple[str, int] | None:
        """The C array that an operand which is no constant lies in, and the bytes before it."""
        at, owner = address_of(array), owner_of(array)
        if owner is self.arena.memory:
            if at >= self.base:
                return "memory", at - self.base
            for argument, name in self.inputs:
                offset = at - address_of(self.array(argument))
                if 0 <= offset < argument.nbytes:
                    return name, offset
        for i, scratch in enumerate(self.scratches):
            if owner is scratch:
                return f"scratch{i}", at - address_of(scratch)
        return None

    def text_of(self, array: np.ndarray, written: bool = False) -> str:
        """A pointer to the first element of an operand."""
        found = self._variable(array)
        if found is None:
            at = address_of(array)
            i = next(i for i, (low, high, _) in enumerate(self.constants) if low <= at < high)
            found = f"c{i}", at - self.constants[i][0]
        name, offset = found
        if written and not name.startswith(("memory", "scratch")):
            raise ExportError(f"export_c: the model writes to an array of shape {array.shape} that outlives the call")
        if name == "memory" and array.dtype != FLOAT:
            name = f"({TYPES[array.dtype]} *)memory"
        offset //= array.itemsize
        return f"{name} + {offset}" if offset else name

    def content_of(self, i: int) -> np.ndarray:
        """The elements of a constant."""
        low, high, dtype = self.constants[i]
        return np.frombuffer(ctypes.string_at(low, high - low), dtype)
