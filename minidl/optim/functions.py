"""The named functions of an update rule: of numbers, of arrays, and of the symbols of a recording.

On arrays they give the bits that the compiled chains give.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .symbols import Symbol


def sqrt(x: Any) -> Any:
    """The square root."""
    if isinstance(x, Symbol):
        return x.apply("sqrt", x)
    return np.sqrt(x) if isinstance(x, np.ndarray) else math.sqrt(x)


def sign(x: Any) -> Any:
    """-1, 0 or 1; NaN of NaN."""
    if isinstance(x, Symbol):
        return x.apply("sign", x)
    return np.sign(x) if isinstance(x, np.ndarray) else float(np.sign(x))


def maximum(a: Any, b: Any) -> Any:
    """The larger one; a where they are equal; NaN where either is NaN."""
    return _one_of("maximum", a, b)


def minimum(a: Any, b: Any) -> Any:
    """The smaller one; a where they are equal; NaN where either is NaN."""
    return _one_of("minimum", a, b)


def _one_of(name: str, a: Any, b: Any) -> Any:
    for x in (a, b):
        if is_array(x) and isinstance(x, Symbol):
            return x.apply(name, a, b)
    first = (a >= b if name == "maximum" else a <= b) | (a != a)
    return np.where(first, a, b) if isinstance(first, np.ndarray) else a if first else b


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition, a comparison, holds, b elsewhere.

    Raises TypeError for a condition on arrays between two numbers, whose dtype nothing tells.
    """
    if not is_array(condition):
        return a if condition else b
    if not is_array(a) and not is_array(b):
        raise TypeError("where: expected an array on one side at least, got two numbers")
    return np.where(condition, a, b) if isinstance(condition, np.ndarray) else condition.apply("where", condition, a, b)


def is_array(x: Any) -> bool:
    """Whether this is an array, or stands for one."""
    return isinstance(x, np.ndarray) or (isinstance(x, Symbol) and not x.is_number)
