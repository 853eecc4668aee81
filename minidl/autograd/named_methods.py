"""NamedMethods: the methods of a Tensor that are functions of its package by the same name, without more to say."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

rows: Any = None  # the package functional, which sets it; see operators.py

# f(x, ...) of functional as x.f(...)
NAMES = (
    "addmm", "bincount", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "ceil", "cos", "count_nonzero",
    "diag", "diff", "dot", "expm1", "floor", "floor_divide", "isclose", "isfinite", "isinf", "isnan", "lerp", "log10",
    "log1p", "log2", "logical_and", "logical_not", "logical_or", "logical_xor", "logsumexp", "masked_select", "median",
    "mm", "movedim", "multinomial", "mv", "narrow", "nonzero", "reciprocal", "remainder", "repeat_interleave", "roll",
    "round", "rsqrt", "select", "sign", "sin", "square", "swapaxes", "t", "take_along_dim", "tan", "tile", "trace",
    "trunc", "unbind", "unique",
)
# f(x, ...) of functional, written into x, as x.f_(...)
IN_PLACE = ("abs", "ceil", "cos", "exp", "floor", "log", "neg", "pow", "reciprocal", "relu", "remainder", "round",
            "rsqrt", "sigmoid", "sin", "sqrt", "square", "tanh")


def _calling(name: str) -> Callable:
    def method(self, *args, **named):
        return getattr(rows, name)(self, *args, **named)

    method.__name__, method.__doc__ = name, f"functional.{name} of this Tensor."
    return method


def _writing(name: str) -> Callable:
    def method(self, *args):
        return self._change(getattr(rows, name)(self, *args), same_dtype=True)

    method.__name__, method.__doc__ = f"{name}_", f"functional.{name} of this Tensor, in place."
    return method


class NamedMethods:
    """See NAMES and IN_PLACE."""

    __slots__ = ()


for _name in NAMES:
    setattr(NamedMethods, _name, _calling(_name))
for _name in IN_PLACE:
    setattr(NamedMethods, f"{_name}_", _writing(_name))
