"""An Operation is a row of a table: a value, and beside it its derivatives.

The value is a function of arrays and settings. For each input there is one derivative: the gradient
that the input receives, written on

    g           the gradient of the output
    y           the output (or what the value kept for the derivatives)
    a, b, x     the inputs, arrays or numbers
    and the settings that the value was called with.

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
from collections.abc import Callable
from functools import partial

import numpy as np

from ..tape import recording
from ..tensor import Tensor, record

INPUTS = (Tensor, np.ndarray, np.generic, int, float)  # bool is an int
ALL = "0123456789y"  # what a derivative may read


class Operation:
    """A value and its derivatives, one for each input.

    ``settings`` names what may follow the inputs by position, as in PyTorch; its "inplace" is taken and
    changes nothing. ``keeps`` says that the value gives (y, kept). ``views`` that y may share its memory
    with the first input.

    Raises TypeError for inputs that are neither Tensors, arrays nor numbers.
    """

    def __init__(self, name: str, value: Callable, *derivatives: Callable, settings=(), keeps: bool = False,
                 reads: tuple[str, ...] = (), views: bool = False):
        self.name, self.value, self.derivatives = name, value, derivatives
        self.arity = len(derivatives) or math.inf
        self.settings, self.keeps, self.views = settings, keeps, views
        self.reads = reads or tuple(ALL for _ in derivatives)

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
        if not any(isinstance(x, Tensor) for x in inputs):
            return self.run(*inputs, **settings)[0]
        values = [self._value_of(x) for x in inputs]
        y, kept = self.run(*values, **settings)
        asked = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
        if asked and self.derivatives and recording():
            def gradients(g):
                return [fit(self.derivative(i)(g, kept, *values, **settings), values[i]) for i in asked]

            names = "".join([self.reads_of(i) for i in asked])
            read = [x for j, x in enumerate(inputs)
                    if names and isinstance(x, Tensor) and (j >= 10 or ALL[j] in names)]
            output = record(self.name, np.asarray(y), [inputs[i] for i in asked], gradients, read,
                            "y" in names and not self.keeps)
        else:
            output = Tensor(np.asarray(y))
        if self.views and shares(output._data, values[0]):
            output.status = inputs[0].counted()
        return output

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

    def _value_of(self, x):
        """x as an array or as a Python number."""
        if isinstance(x, Tensor):
            return x._data
        if not isinstance(x, INPUTS):
            raise TypeError(f"{self.name}: expected Tensors, arrays or numbers, got {type(x).__name__}")
        return x.item() if isinstance(x, np.generic) else x


class Joining(Operation):
    """An operation on any number of inputs; its one derivative is told first for which of them it is."""

    def __init__(self, name: str, value: Callable, derivative: Callable, *, keeps: bool = False, reads=()):
        super().__init__(name, value, derivative, keeps=keeps, reads=reads)
        self.arity = math.inf

    def reads_of(self, i: int) -> str:
        return self.reads[0]

    def derivative(self, i: int) -> Callable:
        return partial(self.derivatives[0], i)


def shares(y: np.ndarray, x) -> bool:
    """Whether y, made of x, is x or a view of its memory."""
    return y is x or (y.base is not None and (y.base is x or y.base is getattr(x, "base", None)))


def fit(g, x: np.ndarray) -> np.ndarray:
    """g in x's dtype, summed over the axes along which x was broadcast."""
    if g.shape != x.shape:
        g = g.sum(axis=tuple(range(g.ndim - x.ndim)))
        g = g.sum(axis=tuple(i for i, n in enumerate(x.shape) if n == 1 and g.shape[i] != 1), keepdims=True)
    return g.astype(x.dtype, copy=False)
