"""Rounding, remainders and signs; truth values and bits, which have no derivatives."""
from __future__ import annotations

import numpy as np

from .elementwise import sign, zeros_like
from .operation import Operation

__all__ = ["bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "ceil", "floor", "floor_divide", "isfinite",
           "isinf", "isnan", "logical_and", "logical_not", "logical_or", "logical_xor", "remainder", "round", "sign",
           "trunc"]


def _flat(name: str, value) -> Operation:
    return Operation(name, value, lambda g, y, x: zeros_like(x), reads=("",))


floor, ceil, round, trunc = (_flat("floor", np.floor), _flat("ceil", np.ceil), _flat("round", np.rint),
                             _flat("trunc", np.trunc))
isnan, isinf = Operation("isnan", np.isnan, arity=1), Operation("isinf", np.isinf, arity=1)
isfinite = Operation("isfinite", np.isfinite, arity=1)
logical_and, logical_or = (Operation("logical_and", np.logical_and, arity=2),
                           Operation("logical_or", np.logical_or, arity=2))
logical_xor, logical_not = (Operation("logical_xor", np.logical_xor, arity=2),
                            Operation("logical_not", np.logical_not, arity=1))
bitwise_and, bitwise_or = Operation("bitwise_and", np.bitwise_and, arity=2), Operation("bitwise_or", np.bitwise_or,
                                                                                       arity=2)
bitwise_xor, bitwise_not = Operation("bitwise_xor", np.bitwise_xor, arity=2), Operation("bitwise_not", np.invert,
                                                                                        arity=1)
floor_divide = Operation("floor_divide", np.floor_divide, arity=2)
remainder = Operation(  # a - b floor(a / b)
    "remainder", np.remainder, lambda g, y, a, b: g, lambda g, y, a, b: -g * floor(a / b), reads=("", "01"))
