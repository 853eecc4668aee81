"""The table of a model's modules: parameters and, for an input, the outputs' shapes, multiply-adds and memory.

An input is run through the model once, in evaluation mode and off the tape. Hooks tell which module runs and what it
gives. The thread's recorder tells each operation, with the shapes of its operands, and so the multiply-adds of
whatever a forward is written with: they count for the innermost module that runs. So a model of one's own is counted
as minidl's modules are.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.parameter import Parameter
from ..autograd.tape import no_grad, recording_into, unseen
from ..autograd.tensor import Tensor
from ..table import as_html, bytes_as_text

if TYPE_CHECKING:
    from .module import Module

# The multiply-adds of an operation, of its output's and its inputs' shapes. All others have none: sums, activations,
# pooling and normalisation are not counted.
MULTIPLY_ADDS: dict[str, Callable[..., int]] = {
    "linear": lambda y, x, *_: math.prod(y) * x[-1],
    "matmul": lambda y, a, b: math.prod(y) * a[-1],
    "convolution": lambda y, x, weight, *_: math.prod(y) * math.prod(weight[1:]),
    "rnn_states": lambda y, a, h, weight, *_: math.prod(a) * weight[-1],
    "gru_states": lambda y, a, h, weight, *_: math.prod(a) * weight[-1],
    "lstm_states": lambda y, a, h, c, weight, *_: math.prod(a) * weight[-1],
}


STATE = ("training", "saved")  # the attributes of a module that a run changes


@dataclass
class Row:
    """A module: its dotted name, its repr without its children, its own parameters, and what a run told of it.

    outputs : the shapes of its last outputs. multiply_adds, memory : of all its calls, without its children's; memory
    is the bytes of its outputs, but for those that are an input's or another output's. opaque : whether NumPy code
    ran in it, whose multiply-adds are not known.
    """

    name: str
    title: str
    parameters: int
    calls: int = 0
    outputs: list[tuple[int, ...]] = field(default_factory=list)
    multiply_adds: int = 0
    memory: int = 0
    opaque: bool = False

    def cells(self, with_run: bool) -> list[str]:
        """The texts of its line."""
        left = [self.name or "(model)", self.title]
        if not with_run:
            return [*left, f"{self.parameters:,}"]
        shapes = ", ".join(map(str, self.outputs)) or "-"
        return [*left, f"{shapes}{f', {self.calls} times' if self.calls > 1 else ''}", f"{self.parameters:,}",
                "?" if self.opaque else f"{self.multiply_adds:,}", bytes_as_text(self.memory)]


class Summary(str):
    """The table as a text, which a notebook shows as one of HTML.

    rows : a Row a module. parameters, trained : their numbers, each parameter once. multiply_adds, memory : of
    the run, the memory in bytes; 0 without one. state : bytes of parameters and buffers.
    """

    rows: list[Row]
    parameters: int
    trained: int
    multiply_adds: int
    memory: int
    state: int
    _left: int  # columns of texts, flush left
    _lines: list[list[str]]
    _heads: list[str]
    _notes: list[str]

    def _repr_html_(self) -> str:
        return as_html(self._heads, self._lines, "; ".join(self._notes), self._left)


def summary(model: Module, inputs: Any = None) -> Summary:
    """The Summary of a model; see Module.summary."""
    rows = {id(module): Row(name, module.title(), sum(p.numel() for p in vars(module).values()
                                                      if isinstance(p, Parameter)))
            for name, module in model.named_modules()}
    given = None if inputs is None else _given(model, inputs)
    if given is not None:
        _run(model, given, rows)
    return _told(model, list(rows.values()), given)


def _told(model: Module, rows: list[Row], given: list | None) -> Summary:
    parameters, buffers = model.parameters(), model.buffers()
    count, trained = sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)
    adds, memory = sum(row.multiply_adds for row in rows), sum(row.memory for row in rows)
    heads, total = ["name", "module", "parameters"], ["total", "", f"{count:,}"]
    notes = []
    state = sum(x.data.nbytes for x in (*parameters, *buffers))
    if given is not None:
        total = ["total", "", "", f"{count:,}", f"{adds:,}", bytes_as_text(memory)]
        heads = ["name", "module", "output", "parameters", "multiply-adds", "memory"]
        shapes = ", ".join(str(x.shape) for x in _tensors(given))
        notes.append(f"for an input of {shapes}: {bytes_as_text(state)} of parameters and buffers, "
                     f"{bytes_as_text(memory)} of outputs")
        if any(row.opaque for row in rows):
            notes.append("?: NumPy code, whose multiply-adds are not known")
    if trained < count:
        notes.append(f"{trained:,} of the parameters are trained, {count - trained:,} are frozen")
    lines = [*[row.cells(given is not None) for row in rows], total]
    left = 2 if given is None else 3
    made = Summary("\n".join([*_aligned(lines if given is None else [heads, *lines], left), *notes]))
    made.rows, made.parameters, made.trained, made.multiply_adds, made.memory = rows, count, trained, adds, memory
    made.state, made._left, made._lines, made._heads, made._notes = state, left, lines, heads, notes
    return made


def _aligned(lines: Sequence[Sequence[str]], left: int) -> list[str]:
    """The lines of a table, the columns after the first ``left`` flush right and at least ten wide."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) if i < left else cell.rjust(max(width, 10))
                      for i, (cell, width) in enumerate(zip(line, widths, strict=True))) for line in lines]


def _given(model: Module, inputs: Any) -> list:
    """The arguments of the model's forward: Tensors, of normal numbers where a shape was given."""
    one = isinstance(inputs, (np.ndarray, Tensor)) or _is_shape(inputs)
    dtype = next((p.dtype for p in model.parameters()), np.dtype(np.float32))
    return [_argument(x, dtype) for x in ([inputs] if one else inputs)]


def _is_shape(x: Any) -> bool:
    return isinstance(x, (tuple, list)) and all(isinstance(n, (int, np.integer)) for n in x)


def _argument(x: Any, dtype: np.dtype) -> Any:
    if isinstance(x, Tensor) or x is None:
        return x
    if isinstance(x, np.ndarray):
        return Tensor(x)
    if isinstance(x, (tuple, list)) and not _is_shape(x):
        return tuple([_argument(item, dtype) for item in x])
    if not _is_shape(x):
        raise TypeError(f"summary: expected the shape of an input, an array, or several of them, got {x!r}")
    if any(n < 1 for n in x):
        raise ValueError(f"summary: expected a shape of sizes >= 1, the batch's among them, got {tuple(x)}")
    return Tensor(np.random.default_rng(0).standard_normal(tuple(x)).astype(dtype))


def _run(model: Module, given: list, rows: dict[int, Row]) -> None:
    """Run the model in evaluation mode, note in the rows what it does, and leave it as it was."""
    modules = model.modules()
    before = [(vars(module), {name: vars(module)[name] for name in STATE if name in vars(module)})
              for module in modules]
    watch = _Watch(rows, [x._data for x in _tensors(given)])
    handles = []
    try:
        for module in modules:
            handles.append(module.register_forward_pre_hook(watch.enter, prepend=True))
            handles.append(module.register_forward_hook(watch.leave))
        model.eval()
        with unseen(), no_grad(), np.errstate(all="ignore"), recording_into(watch):
            model(*given)
    finally:
        for handle in handles:
            handle.remove()
        for own, state in before:
            for name in STATE:
                own.pop(name, None)
            own.update(state)


class _Watch:
    """A recorder that counts; see autograd/tape.py for what a recorder is told."""

    ignoring = False

    def __init__(self, rows: dict[int, Row], inputs: list[np.ndarray]):
        self.rows, self.running, self.undo = rows, [], []  # type: ignore[var-annotated]
        self.kept = [_owner(x) for x in inputs]  # alive, so that no two of them have one address
        self.known = {id(x) for x in self.kept}

    def enter(self, module: Module, inputs: tuple) -> None:
        self.running.append(self.rows[id(module)])

    def leave(self, module: Module, inputs: tuple, output: Any) -> None:
        row = self.running.pop()
        found = list(_tensors(output))
        row.calls, row.outputs = row.calls + 1, [x.shape for x in found]
        for x in found:
            owner = _owner(x._data)
            if id(owner) not in self.known:
                self.known.add(id(owner))
                self.kept.append(owner)
                row.memory += x._data.nbytes

    def operation(self, operation: Any, inputs: tuple, settings: dict, output: Tensor) -> None:
        count = MULTIPLY_ADDS.get(operation.name)
        if count is not None and self.running:
            self.running[-1].multiply_adds += count(output.shape, *[getattr(x, "shape", ()) for x in inputs])

    def call(self, name: str, function: Callable, inputs: Any, outputs: Any, listed: bool = True) -> None:
        if listed and self.running:
            self.running[-1].opaque = True

    def _nothing(self, *_: Any) -> None:
        """What does not bear on the count."""

    drawing = constant = read = only_plain = gradient_queried = leaf = _nothing
    accumulate = accumulate_by = zero_grad = set_grad = overwrite = overwrite_array = _nothing


def _owner(array: np.ndarray) -> Any:
    """The array, or whatever else, whose memory it shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _tensors(output: Any) -> Iterator[Tensor]:
    """The Tensors in an output, within tuples, lists and dictionaries."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, (tuple, list)):
        for item in output:
            yield from _tensors(item)
    elif isinstance(output, dict):
        yield from _tensors(list(output.values()))
