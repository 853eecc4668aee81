"""Operation: a row of the table of operations, a value and its derivatives.

The value is a function of arrays and settings. For each input there is one derivative: the gradient
that the input receives, as a function of

    g           the gradient of the output
    y           the output (or what the value saved for the derivatives)
    a, b, x     the inputs, arrays or numbers
    and the settings that the value was called with.

A derivative is written with operations and operators alone. So it computes with arrays and with Tensors;
with Tensors it is recorded, and can be differentiated itself.

``reads`` says of each derivative which values it reads, beside g: "y", and the inputs by their position, as in
("1", "0") of a product. If one of these Tensors has been changed in place by the time of the derivative,
backward() raises; of the others only the shape and the dtype are used. By default all are read.

Where an input was broadcast or promoted to another dtype, the derivative need not handle that: its
gradient is summed (unbroadcast) and cast back here. An operation without derivatives gives results off the tape.

Called with arrays an operation gives an array; with a Tensor among its inputs, a Tensor. Dtypes follow
NumPy's rules, except that beside a Tensor a NumPy scalar counts as a Python number and does not widen it.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Container
from functools import partial
from inspect import signature

import numpy as np

from ..arrays import FLOATS
from ..autograd.parameter import Parameter
from ..autograd.tape import thread
from ..autograd.tensor import Tensor, made
from .applied import Applied

ndarray = np.ndarray  # as one name, which is looked up at each call
INPUTS = (Tensor, np.ndarray, np.generic, int, float)  # bool is an int
ALL_INPUTS = "0123456789"
ALL = ALL_INPUTS + "y"  # what a derivative may read
WITH_KERNELS: dict[str, Operation] = {}  # the rows that name a kernel, by their own names


def no_derivative(*_, **__) -> None:
    """The derivative for an input that has none: labels, an index, a condition."""


class Operation:
    """A value and its derivatives, one for each input.

    ``settings`` names the arguments that may follow the inputs by position, as in PyTorch; "inplace" is
    accepted and changes nothing. ``views`` says that y may share its memory with the first input.
    ``saves`` says that the value gives (y, saved); it is then itself written with operations, and computes
    with Tensors, too. ``adds`` are the positions of inputs whose gradients can be added to those of Parameters
    in place, so that the sums begin at the gradient that is there: ``add_all(totals, g, y, *inputs, **settings)`` does
    so for those of the totals that are not None. ``add(total, *inputs, **settings)`` adds this operation's own value
    to an array.
    ``arity`` is the number of inputs, by default that of the derivatives.

    ``kernel`` names the kernel that computes the same: elementwise, or along the last axis for a row with the setting
    "dim". That of the derivative has the name with "_backward" behind it. A kernel takes one setting at most: the
    row's, or what the row's settings make of it. So ``kernel`` may also be a function of them that gives the name
    and the number, or None where no kernel does it alone. ``output_serves`` says for which setting the derivative's
    kernel may read y where the row's derivative reads x: a function, or True.

    Raises TypeError for inputs that are neither Tensors, arrays nor numbers, ValueError for ``reads`` of anything else.
    """

    def __init__(self, name: str, value: Callable, *derivatives: Callable, settings=(), saves: bool = False,
                 reads: tuple[str, ...] = (), views: bool = False, adds: tuple[int, ...] = (),
                 add_all: Callable = no_derivative, add: Callable | None = None, arity: float | None = None,
                 kernel: str | Callable | None = None, output_serves: bool | Callable = False,
                 common: Callable | None = None):
        self.name, self.value, self.derivatives = name, value, derivatives
        self.arity = len(derivatives) or math.inf if arity is None else arity
        self.settings, self.saves, self.views = settings, saves, views
        self.reads = reads or tuple(ALL for _ in derivatives)
        if not set(ALL).issuperset("".join(self.reads)):
            raise ValueError(f"{name}: expected reads of {ALL!r}, got {self.reads}")
        self.adds, self.add_all, self.add = adds, add_all, add
        self.kernel, self.output_serves, self.common = kernel, output_serves, common
        if kernel is not None:
            WITH_KERNELS[name] = self
        self.plans: dict[tuple[int, ...], list[int]] = {}  # what is read for these gradients
        self.constants: Container[int] = [i for i, f in enumerate(derivatives) if f is no_derivative]

    def run(self, *inputs, **settings):
        """(y, the value that the derivatives get as y), for arrays."""
        y = self.value(*inputs, **settings)
        return y if self.saves else (y, y)

    def kernel_call(self, settings: dict) -> tuple[str, float] | None:
        """The kernel that computes the value with these settings, and the one number that it takes, or 0."""
        if callable(self.kernel):
            return self.kernel(**settings)
        if self.kernel is None:
            return None
        names = [name for name in self.settings if name != "inplace"]
        if not names or names == ["dim"]:
            return self.kernel, 0.0
        name, = names
        value = settings[name] if name in settings else signature(self.value).parameters[name].default
        return self.kernel, float(value)

    def derivative(self, i: int) -> Callable:
        """The derivative for input i."""
        common = self.common
        if common is None or self.derivatives[i] is no_derivative:
            return self.derivatives[i]
        return lambda g, y, *inputs, **settings: self.derivatives[i](
            g, common(g, y, *inputs, **settings), *inputs, **settings)

    def reads_of(self, i: int) -> str:
        """What the derivative for input i reads."""
        return self.reads[i]

    def __call__(self, *inputs, **settings):
        if settings or len(inputs) > self.arity:
            inputs, settings = self._arranged(inputs, settings)
        for x in inputs:
            if isinstance(x, Tensor):
                return self.of_tensors(inputs, settings)
        return self.value(*inputs, **settings)[0] if self.saves else self.value(*inputs, **settings)

    def of(self, a, b):
        """The same as a call, but faster for arrays. As in a derivative, both inputs are Tensors, or neither is."""
        return self.value(a, b) if type(a) is ndarray else self(a, b)

    def of_tensors(self, inputs: tuple, settings: dict) -> Tensor:
        """The output as a Tensor, for settings by name; on the tape if an input requires a gradient."""
        values: list = []
        positions: list[int] = []
        differentiated: list[Tensor] = []
        for x in inputs:
            if isinstance(x, Tensor):
                if x.requires_grad:
                    positions.append(len(values))
                    differentiated.append(x)
                values.append(x._data)
            elif isinstance(x, np.generic):
                number = x.item()
                inputs = (*inputs[:len(values)], number, *inputs[len(values) + 1:])
                values.append(number)
            elif isinstance(x, INPUTS):
                values.append(x)
            else:
                raise TypeError(f"{self.name}: expected Tensors, arrays or numbers, got {type(x).__name__}")
        recorder, tensors = thread.recorder, None
        if recorder is None or not self.saves:
            y = saved = self.value(*values, **settings)
            if self.saves:
                y, saved = y
            array = y if type(y) is ndarray else np.asarray(y)
            output = made(array) if array.dtype in FLOATS else Tensor(array)
        else:  # the recorder sees the operations that compute the value
            first = inputs[0] if isinstance(inputs[0], Tensor) else Tensor(inputs[0])
            output, tensors = self.value(first, *inputs[1:], **settings)
            saved = recorder = None
        if positions and thread.depth == 0 and self.derivatives:
            if self.constants:
                positions = [i for i in positions if i not in self.constants]
                differentiated = [inputs[i] for i in positions]
            if positions:
                if output._data.dtype not in FLOATS:
                    raise TypeError(f"Tensor: only float32 and float64 have gradients, got {output.dtype}")
                output._requires_grad = True
                applied = self, inputs, values, settings, saved, tensors
                output.node = Applied(applied, positions, differentiated, self._read(inputs, positions, output))
        if self.views and shares(output._data, values[0]):
            output.status = inputs[0].counted()
        if recorder is not None:
            recorder.operation(self, inputs, settings, output)
        return output

    def _read(self, inputs: tuple, positions: list[int], output: Tensor) -> list[tuple]:
        """What the derivatives for the inputs at these positions read, with the version that it has now."""
        plan = self.plans.get(key := tuple(positions))
        if plan is None:
            plan = self._plan(positions, len(inputs))
            if self.arity != math.inf:
                self.plans[key] = plan
        read: list[tuple] = []
        for j in plan:
            if j < 0:
                read.append((output.counted(), 0))
            elif j < len(inputs) and isinstance(inputs[j], Tensor):
                status = inputs[j].status
                read.append((inputs[j], 0 if status is None else status.version))
        return read

    def _plan(self, positions: list[int], count: int) -> list[int]:
        """The positions of the inputs that these derivatives read, and -1 where they read the output."""
        names = "".join([self.reads_of(i) for i in positions])
        count = count if self.arity == math.inf else int(self.arity)
        plan = [j for j in range(count) if names and (j >= 10 or ALL[j] in names)]
        return [*plan, -1] if "y" in names and not self.saves else plan

    def add_to(self, parameter: Parameter, *inputs, **settings) -> None:
        """Add the value for these inputs to the parameter's gradient, term by term."""
        if not isinstance(inputs[0], Tensor):
            self.add(parameter._grad, *inputs, **settings)  # type: ignore[misc]
        else:
            self.add(parameter._grad, *[getattr(x, "_data", x) for x in inputs], **settings)  # type: ignore[misc]
            if thread.recorder is not None:
                thread.recorder.accumulate_by(self, inputs, parameter, settings)
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
    """An operation on any number of inputs, with one derivative, whose first argument is the input's position."""

    def __init__(self, name: str, value: Callable, derivative: Callable, *, reads=()):
        super().__init__(name, value, derivative, reads=reads, arity=math.inf)

    def reads_of(self, i: int) -> str:
        return self.reads[0]

    def derivative(self, i: int) -> Callable:
        return partial(self.derivatives[0], i)


def by_input(backward: Operation) -> Callable:
    """The derivative of a function of x by an operation of g and x."""
    compute = backward.value

    def derivative(g, y, x):
        return compute(g, x) if type(g) is ndarray else backward(g, x)

    return derivative


def by_output(backward: Operation) -> Callable:
    """The derivative of a function of x by an operation of g and y."""
    compute = backward.value

    def derivative(g, y, x):
        return compute(g, y) if type(g) is ndarray else backward(g, y)

    return derivative


def shares(y: np.ndarray, x) -> bool:
    """Whether y, made of x, is x or a view of its memory."""
    return y is x or (y.base is not None and (y.base is x or y.base is getattr(x, "base", None)))
