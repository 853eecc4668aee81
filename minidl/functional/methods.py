"""Tensor's operators and methods: names for the operations, which stand above it and record on it."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..tape import recording
from ..tensor import Tensor
from . import casts, elementwise, products, reductions, shapes
from .operation import INPUTS


def _method(operation: Callable) -> Callable:
    """An operation as a method: its first input is the Tensor."""
    def method(self, *inputs, **settings):
        return operation(self, *inputs, **settings)
    return method


def _operator(operation: Callable) -> Callable:
    """An operation as a binary operator, which leaves to Python what is no input."""
    def operator(self, other):
        return operation(self, other) if isinstance(other, INPUTS) else NotImplemented
    return operator


def _reflected(operation: Callable) -> Callable:
    return _operator(lambda self, other: operation(other, self))


def _in_place(operation: Callable) -> Callable:
    """``w -= step``: on a leaf that is trained in place, within no_grad() alone; else a new Tensor."""
    def operator(self, other):
        if not isinstance(other, INPUTS):
            return NotImplemented
        if not (self.requires_grad and self.is_leaf):
            return operation(self, other)
        if recording():
            raise RuntimeError("a leaf that requires grad changes in place within no_grad() alone")
        result = operation(self, other)._data
        if result.dtype != self.dtype:
            raise TypeError(f"a result of {result.dtype} does not fit into a Tensor of {self.dtype} in place")
        self.overwrite(result)
        return self
    return operator


for _symbol, _operation in {
    "add": elementwise.add, "sub": elementwise.sub, "mul": elementwise.mul,
    "truediv": elementwise.div, "pow": elementwise.pow, "matmul": products.matmul,
}.items():
    setattr(Tensor, f"__{_symbol}__", _operator(_operation))
    setattr(Tensor, f"__r{_symbol}__", _reflected(_operation))
    setattr(Tensor, f"__i{_symbol}__", _in_place(_operation))

for _symbol in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Tensor, f"__{_symbol}__", _operator(getattr(elementwise, _symbol)))
Tensor.__hash__ = object.__hash__  # __eq__ would take it away

Tensor.__neg__ = _method(elementwise.neg)
Tensor.__abs__ = _method(elementwise.abs)
Tensor.__getitem__ = shapes.index
Tensor.T = property(lambda self: shapes.permute(self, range(self.ndim)[::-1]))

for _module, _names in (
    (elementwise, ("add", "sub", "mul", "div", "pow", "lt", "le", "gt", "ge", "eq", "ne")),
    (elementwise, ("neg", "abs", "sqrt", "exp", "log", "tanh", "sigmoid", "relu", "softmax", "log_softmax")),
    (reductions, ("sum", "mean", "max", "min", "argmax", "argmin", "all", "any")),
    (shapes, ("reshape", "transpose", "permute", "flatten", "squeeze", "unsqueeze")),
    (products, ("matmul",)),
    (casts, ("to", "clone", "contiguous")),
):
    for _name in _names:
        setattr(Tensor, _name, _method(getattr(_module, _name)))
Tensor.view = shapes.reshape
Tensor.view_as = lambda self, other: shapes.reshape(self, other.shape)
Tensor.float = lambda self: casts.to(self, np.float32)
Tensor.double = lambda self: casts.to(self, np.float64)
Tensor.long = lambda self: casts.to(self, np.int64)
Tensor.cpu = lambda self: self
