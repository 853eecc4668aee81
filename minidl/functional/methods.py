"""Tensor's operators and methods: names for the operations, which stand above it and record on it."""
from __future__ import annotations

import numpy as np

from ..tensor import Tensor
from . import elementwise, products, reductions, shapes


def _reflected(operation):
    return lambda self, other: operation(other, self)


def _compared(function):
    """A comparison on the data: an array of booleans, off the tape."""
    return lambda self, other: function(self.data, other.data if isinstance(other, Tensor) else other)


for _symbol, _operation in {
    "add": elementwise.add, "sub": elementwise.sub, "mul": elementwise.mul,
    "truediv": elementwise.div, "pow": elementwise.pow, "matmul": products.matmul,
}.items():
    setattr(Tensor, f"__{_symbol}__", lambda self, other, operation=_operation: operation(self, other))
    setattr(Tensor, f"__r{_symbol}__", _reflected(_operation))

for _symbol, _function in {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "eq": np.equal, "ne": np.not_equal,
}.items():
    setattr(Tensor, f"__{_symbol}__", _compared(_function))
    setattr(Tensor, _symbol, _compared(_function))

Tensor.__neg__ = lambda self: elementwise.neg(self)
Tensor.__abs__ = lambda self: elementwise.abs(self)
Tensor.__getitem__ = shapes.index
Tensor.__hash__ = object.__hash__
Tensor.T = property(lambda self: shapes.permute(self, *range(self.ndim)[::-1]))

for _name in ("exp", "log", "sqrt", "abs", "tanh", "sigmoid", "relu", "softmax", "log_softmax", "add", "sub",
              "mul", "div", "pow", "neg"):
    setattr(Tensor, _name, lambda self, *args, _op=getattr(elementwise, _name), **settings:
            _op(self, *args, **settings))
for _module, _names in (
    (reductions, ("sum", "mean", "max", "min", "argmax")),
    (shapes, ("reshape", "transpose", "permute", "flatten", "squeeze", "unsqueeze")),
    (products, ("matmul",)),
):
    for _name in _names:
        setattr(Tensor, _name, getattr(_module, _name))
Tensor.view = shapes.reshape
Tensor.view_as = lambda self, other: shapes.reshape(self, other.shape)
