"""Graph: the nodes and constants that a traced model becomes, for any number of rows."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arrays import FLOATS
from ..autograd.tensor import Tensor
from .recording import OF_SHAPES, ExportError
from .trace import Step, Trace

OPSET, IR_VERSION = 18, 8
FILLED = ("ones_like", "zeros_like", "zeros_of")  # operations that give one number in a shape


class Graph:
    """Nodes and constants, by the Tensors that they give."""

    def __init__(self, trace: Trace, other: Trace, names: dict[int, str]):
        from onnx import helper

        self.helper, self.trace, self.other = helper, trace, other
        self.rows = [t.inputs[0].shape[0] if t.inputs[0].ndim else 1 for t in (trace, other)]
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.known: dict[int, str] = {}         # names of values, by their Tensors
        self.fixed: dict[int, np.ndarray] = {}  # values that are the same at each call
        self.works: dict[int, Step] = {}        # the work of recurrent layers, which has an order of its own
        self.producers = {id(step.output): step for step in trace.steps}
        self._names, self._taken = names, set[str]()
        self.inputs = self._numbered("x", trace.inputs)
        self._rows_name = ""
        for tensor, name in zip(trace.inputs, self.inputs, strict=True):
            self.known[id(tensor)] = name
        if [step.name for step in trace.steps] != [step.name for step in other.steps]:
            raise self.depends("what the model does")

    def _numbered(self, letter: str, values: list) -> list[str]:
        names = [letter] if len(values) == 1 else [f"{letter}{i}" for i in range(len(values))]
        self._taken.update(names)
        return names

    @staticmethod
    def depends(what: str) -> ExportError:
        return ExportError(f"to_onnx: {what} depends on the number of rows in a way that has no ONNX form: "
                           "dynamic_rows=False fixes the shapes")

    # Values

    def name(self, hint: str) -> str:
        """A name that nobody has."""
        name, i = hint, 0
        while name in self._taken:
            i += 1
            name = f"{hint}_{i}"
        self._taken.add(name)
        return name

    def constant(self, array, hint: str = "constant") -> str:
        """An initializer; one of the same bits serves again."""
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        for name, known in self.constants.items():
            if known.dtype == array.dtype and known.shape == array.shape and known.tobytes() == array.tobytes():
                return name
        name = self.name(hint)
        self.constants[name] = array
        return name

    def integers(self, *numbers: int) -> str:
        return self.constant(np.array(numbers, np.int64), "sizes")

    def value_of(self, x) -> np.ndarray | None:
        """The array of a constant, or None for what is computed."""
        if isinstance(x, Tensor):
            if id(x) in self.known:
                return None
            return self.fixed.get(id(x), x._data)
        return np.asarray(x)

    def of(self, x, dtype=None) -> str:
        """The name of a value; numbers and constants become initializers, in this dtype."""
        array = self.value_of(x)
        if array is None:
            return self.known[id(x)]
        hint = self._names.get(id(x._data), "constant") if isinstance(x, Tensor) else "constant"
        return self.constant(array if isinstance(x, (Tensor, np.ndarray)) else array.astype(dtype), hint)

    def node(self, kind: str, *inputs: str, **attributes) -> str:
        """Append a node; the name of its output."""
        return self.outputs_of(kind, inputs, 1, **attributes)[0]

    def outputs_of(self, kind: str, inputs, count: int, **attributes) -> list[str]:
        outputs = [self.name(kind.lower()) for _ in range(count)]
        self.nodes.append(self.helper.make_node(kind, list(inputs), outputs, **attributes))
        return outputs

    # Shapes

    def lengths(self, shape, other) -> list[tuple[int, bool]]:
        """Each length, and whether it is a multiple of the number of rows: then, how many a row."""
        found = []
        for n, m in zip(shape, other, strict=True):
            if n == m:
                found.append((int(n), False))
            elif n * self.rows[1] == m * self.rows[0] and n % self.rows[0] == 0:
                found.append((int(n) // self.rows[0], True))
            else:
                raise self.depends(f"a shape, {tuple(shape)},")
        return found

    def shape(self, step: Step, twin: Step) -> str:
        """The shape of a step's output, as a value for Reshape and Expand."""
        lengths = self.lengths(step.output.shape, twin.output.shape)
        if not any(dynamic for _, dynamic in lengths):
            return self.integers(*[n for n, _ in lengths])
        parts = []
        for n, dynamic in lengths:
            if not dynamic:
                parts.append(self.integers(n))
            else:
                parts.append(self.row_count() if n == 1 else self.node("Mul", self.row_count(), self.integers(n)))
        return self.node("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]

    def row_count(self) -> str:
        """N, as a vector of one."""
        if not self._rows_name:
            whole = self.node("Shape", self.inputs[0])
            self._rows_name = self.node("Gather", whole, self.integers(0), axis=0)
        return self._rows_name

    def reshaped(self, x: str, step: Step, twin: Step) -> str:
        """A value in the shape of a step's output: one length that depends on the rows is told by the others."""
        lengths = self.lengths(step.output.shape, twin.output.shape)
        if sum(dynamic for _, dynamic in lengths) == 1 and all(n for n, _ in lengths):
            return self.node("Reshape", x, self.integers(*[-1 if dynamic else n for n, dynamic in lengths]))
        return self.node("Reshape", x, self.shape(step, twin))

    # Steps

    def add(self, step: Step, twin: Step, table: dict) -> None:
        """Append the nodes of a step."""
        lasts = step.name in OF_SHAPES or all(
            self.value_of(x) is not None for x in step.inputs)
        moves = step.output.shape != twin.output.shape
        if lasts and not (moves and step.name in FILLED):
            if moves:
                raise self.depends(f"a constant, by {step.name},")
            self.fixed[id(step.output)] = step.output._data.copy()
            return
        for name in step.settings.keys() - {"shape", "ends"}:
            if repr(step.settings[name]) != repr(twin.settings[name]) and id(step.inputs[0]) not in self.works:
                raise self.depends(f"{name} of {step.name}")
        if step.name not in table:
            raise ExportError(f"to_onnx: the operation {step.name} has no ONNX form: use operations that have one")
        self.known[id(step.output)] = table[step.name](self, step, twin)

    def finished(self, title: str):
        """The model, checked."""
        import onnx
        from onnx import numpy_helper

        outputs = self._numbered("y", self.trace.outputs)
        for tensor, name in zip(self.trace.outputs, outputs, strict=True):
            self.nodes.append(self.helper.make_node("Identity", [self.of(tensor)], [name]))
        told = [[self._info(name, x, y) for name, x, y in zip(names, values, others, strict=True)]
                for names, values, others in ((self.inputs, self.trace.inputs, self.other.inputs),
                                              (outputs, self.trace.outputs, self.other.outputs))]
        used = {name for node in self.nodes for name in node.input}
        initializers = [numpy_helper.from_array(array, name) for name, array in self.constants.items() if name in used]
        graph = self.helper.make_graph(self.nodes, title, *told, initializers)
        model = self.helper.make_model(graph, opset_imports=[self.helper.make_opsetid("", OPSET)],
                                       producer_name="minidl", ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model

    def _info(self, name: str, x: Tensor, other: Tensor):
        if x.dtype not in (*FLOATS, np.dtype(np.int64), np.dtype(bool)):
            raise ExportError(f"to_onnx: expected inputs and outputs of floats, integers or booleans, got {x.dtype}")
        lengths = [("N" if n == 1 else f"{n}*N") if dynamic else n for n, dynamic in self.lengths(x.shape, other.shape)]
        return self.helper.make_tensor_value_info(name, self.helper.np_dtype_to_tensor_dtype(x.dtype), lengths)


def pads(n, size, kernel, stride, before, dilation) -> list[int]:
    """The padding before and behind each axis, so that there are ``size`` windows and none that reaches less far."""
    behind = [max(0, (many - 1) * s + d * (k - 1) + 1 - b - length)
              for length, many, k, s, b, d in zip(n, size, kernel, stride, before, dilation, strict=True)]
    return [*before, *behind]


def shares(length: int, windows: int, dtype) -> np.ndarray:
    """(length, windows): the part that each element has in the average of each adaptive window."""
    matrix = np.zeros((length, windows), dtype)
    for i in range(windows):
        begin, end = i * length // windows, math.ceil((i + 1) * length / windows)
        matrix[begin:end, i] = 1 / (end - begin)
    return matrix
