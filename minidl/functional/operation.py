"""An Operation is a row of a table: a value, and beside it its derivatives.

The value is a function of arrays and settings. For each input there is one derivative: the gradient
that the input receives, written on

    g           the gradient of the output
    y           the output (or what the value kept for the derivatives)
    a, b, x     the inputs, arrays or numbers
    and the settings that the value was called with.

A derivative is written with operations and operators alone. So it computes with arrays as well as with
Tensors; with these it is recorded, and has a derivative itself.

``reads`` says of each derivative which values it reads, beside g: "y", and the inputs by their position, as in
("1", "0") of a product. If one of these Tensors has been changed in place by the time of the derivative,
backward() raises; of the others nothing but the shape and the dtype is looked at. By default all are read.

Where an input was broadcast or promoted to another dtype, the derivative need not know: its gradient is
summed and cast back here. An operation without derivatives gives results off the tape.

Called with arrays an operation gives an array; with a Tensor among its inputs, a Tensor. Dtypes follow
NumPy's rules, but for NumPy's scalars, which beside a Tensor count as Python's and do not widen it.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..arrays import FLOATS, SINGLE
from ..autograd.parameter import Parameter
from ..autograd.tape import Node, thread
from ..autograd.tensor import Tensor, made

INPUTS = (Tensor, np.ndarray, np.generic, int, float)  # bool is an int
ALL = "0123456789y"  # what a derivative may read


def no_derivative(*_, **__) -> None:
    """The derivative for an input that has none: labels, an index, a condition."""


class Operation:
    """A value and its derivatives, one for each input.

    ``settings`` names what may follow the inputs by position, as in PyTorch; its "inplace" is taken and
    changes nothing. ``views`` that y may share its memory with the first input.
    ``keeps`` says that the value gives (y, kept); it is then itself written with operations, and computes
    with Tensors, too. ``adds`` says how a derivative is added to the gradient of a Parameter in place, by the position
    of the input: a function of the Parameter and of what the derivative is given, whose sums begin at the
    gradient that is there. ``add`` is that function for this operation itself, on arrays: add(total, *inputs).
    ``arity`` is the number of inputs, by default that of the derivatives.

    Raises TypeError for inputs that are neither Tensors, arrays nor numbers.
    """

    def __init__(self, name: str, value: Callable, *derivatives: Callable, settings=(), keeps: bool = False,
                 reads: tuple[str, ...] = (), views: bool = False, adds: dict[int, Callable] | None = None,
                 add: Callable | None = None, arity: float | None = None):
        self.name, self.value, self.derivatives = name, value, derivatives
        self.arity = len(derivatives) or math.inf if arity is None else arity
        self.settings, self.keeps, self.views = settings, keeps, views
        self.reads = reads or tuple(ALL for _ in derivatives)
        self.adds, self.add = adds or {}, add

    def run(self, *inputs, **settings):
        """(y, what the derivatives get as y), for arrays."""
        y = self.value(*inputs, **settings)
        return y if self.keeps else (y, y)

    def derivative(self, i: int) -> Callable:
        """The derivative for input i."""
        return self.derivatives[i]

    def reads_of(self, i: int) -> str:
        """What the derivative for input i reads."""
        return self.reads[i]

    def __call__(self, *inputs, **settings):
        if settings or len(inputs) > self.arity:
            inputs, settings = self._arranged(inputs, settings)
        for x in inputs:
            if isinstance(x, Tensor):
                return self._of_tensors(inputs, settings)
        return self.value(*inputs, **settings)[0] if self.keeps else self.value(*inputs, **settings)

    def _of_tensors(self, inputs: tuple, settings: dict) -> Tensor:
        """The output as a Tensor, on the tape if an input asks for it."""
        values, asked, sources = [], [], inputs
        for i, x in enumerate(inputs):
            if isinstance(x, Tensor):
                values.append(x._data)
                if x.requires_grad:
                    asked.append(i)
            elif isinstance(x, np.generic):
                number = x.item()
                values.append(number)
                sources = (*sources[:i], number, *sources[i + 1:])
            elif isinstance(x, INPUTS):
                values.append(x)
            else:
                raise TypeError(f"{self.name}: expected Tensors, arrays or numbers, got {type(x).__name__}")
        recorder, kept, tensors = thread.recorder, None, None
        if self.keeps and recorder is not None:  # the recorder sees the operations of which the value is made
            output, tensors = self.value(*sources, **settings)
            recorder = None
        else:
            y = self.value(*values, **settings)
            y, kept = y if self.keeps else (y, y)
            output = None if type(y) is np.ndarray else Tensor(np.asarray(y))
            if output is None:
                output = made(y, False) if y.dtype in FLOATS else Tensor(y)
        if asked and self.derivatives and thread.depth == 0:
            if output._data.dtype is not SINGLE and output._data.dtype not in FLOATS:
                raise TypeError(f"Tensor: only float32 and float64 have gradients, got {output.dtype}")
            names = self.reads_of(asked[0]) if len(asked) == 1 else "".join([self.reads_of(i) for i in asked])
            read = [(x, 0 if x.status is None else x.status.version) for j, x in enumerate(inputs)
                    if isinstance(x, Tensor) and (j >= 10 or ALL[j] in names)] if names else []
            if "y" in names and not self.keeps:
                read.append((output.counted(), 0))
            output._requires_grad = True
            output.node = Applied(self, sources, values, settings, asked, kept, tensors, read)
        if self.views and shares(output._data, values[0]):
            output.status = inputs[0].counted()
        if recorder is not None:
            recorder.operation(self, sources, settings, output)
        return output

    def add_to(self, parameter: Parameter, *inputs) -> None:
        """Add the value for these inputs to the parameter's gradient, term by term."""
        if not isinstance(inputs[0], Tensor):
            self.add(parameter._grad, *inputs)  # type: ignore[misc]
        else:
            self.add(parameter._grad, *[x._data for x in inputs])  # type: ignore[misc]
            if thread.recorder is not None:
                thread.recorder.accumulate_by(self, inputs, parameter)
        parameter.status.has_grad = True

    def _arranged(self, inputs: tuple, settings: dict) -> tuple[tuple, dict]:
        """The inputs alone, and all settings by name."""
        if len(inputs) > self.arity:
            following = inputs[int(self.arity):]
            if len(following) > len(self.settings):
                most = self.arity + len(self.settings)
                raise TypeError(f"{self.name}: expected at most {most} arguments, got {len(inputs)}")
            settings = dict(zip(self.settings, following, strict=False), **settings)
            inputs = inputs[:int(self.arity)]
        if "inplace" in self.settings:
            settings.pop("inplace", None)
        return inputs, settings


class Joining(Operation):
    """An operation on any number of inputs; its one derivative is told first for which of them it is."""

    def __init__(self, name: str, value: Callable, derivative: Callable, *, reads=()):
        super().__init__(name, value, derivative, reads=reads, arity=math.inf)

    def reads_of(self, i: int) -> str:
        return self.reads[0]

    def derivative(self, i: int) -> Callable:
        return partial(self.derivatives[0], i)


class Applied(Node):
    """An operation on the tape.

    ``sources``: all its inputs, of which ``inputs`` are those that ask for a gradient, at the positions ``asked``;
    ``values``: their arrays. ``kept``, ``kept_tensors``: what the value kept, of arrays and of Tensors, or None
    where it is not at hand.
    """

    __slots__ = ("asked", "kept", "kept_tensors", "operation", "settings", "sources", "values")

    def __init__(self, operation: Operation, sources: tuple, values: list, settings: dict, asked: list[int],
                 kept, kept_tensors, read: list[tuple]):
        super().__init__(operation.name, [sources[i] for i in asked], no_derivative, read)
        self.operation, self.settings, self.asked = operation, settings, asked
        self.sources: Any = sources
        self.values: Any = values
        self.kept, self.kept_tensors = kept, kept_tensors

    def gradients(self, g: np.ndarray, wanted: Sequence[bool] | None) -> list:
        operation, values, settings, kept = self.operation, self.values, self.settings, self.kept
        if kept is None and operation.keeps:
            kept = operation.value(*values, **settings)[1]
        found: list = []
        for n, i in enumerate(self.asked):
            if wanted is None and i in operation.adds and isinstance(self.inputs[n], Parameter):
                if self.inputs[n].requires_grad:  # it may have been frozen since
                    operation.adds[i](self.inputs[n], g, kept, *values, **settings)
                found.append(None)
            elif wanted is None or wanted[n]:
                dx = operation.derivative(i)(g, kept, *values, **settings)
                x = values[i]
                found.append(dx if dx.shape == x.shape and dx.dtype is x.dtype else unbroadcast(dx, x))
            else:
                found.append(None)
        return found

    def gradients_of_tensors(self, g: Tensor, output: Tensor, wanted: Sequence[bool] | None, add: bool) -> list:
        operation, sources, settings, y = self.operation, self.sources, self.settings, output
        if operation.keeps:
            y = self.kept_tensors
            if y is None:
                y = operation.value(*sources, **settings)[1]
        found: list = []
        for n, (i, x) in enumerate(zip(self.asked, self.inputs, strict=True)):
            if not x.requires_grad or (wanted is not None and not wanted[n]):
                found.append(None)
            elif add and i in operation.adds and isinstance(x, Parameter):
                operation.adds[i](x, g, y, *sources, **settings)
                found.append(None)
            else:
                found.append(unbroadcast(operation.derivative(i)(g, y, *sources, **settings), x))
        return found

    def free(self) -> None:
        super().free()
        self.sources = self.values = self.kept = self.kept_tensors = None


def shares(y: np.ndarray, x) -> bool:
    """Whether y, made of x, is x or a view of its memory."""
    return y is x or (y.base is not None and (y.base is x or y.base is getattr(x, "base", None)))


def unbroadcast(g, x):
    """g in x's dtype, summed over the axes along which x was broadcast; arrays or Tensors."""
    if g.shape != x.shape:
        g = g.sum(axis=tuple(range(g.ndim - x.ndim)))
        g = g.sum(axis=tuple(i for i, n in enumerate(x.shape) if n == 1 and g.shape[i] != 1), keepdims=True)
    if g.dtype == x.dtype:
        return g
    return g.to(x.dtype) if isinstance(g, Tensor) else g.astype(x.dtype)
