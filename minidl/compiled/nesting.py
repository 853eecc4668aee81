"""Arguments and outputs of a step: lists, tuples and dictionaries with arrays and other values in them."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from .errors import CaptureError

PLAIN = (int, float, complex, str, bytes, bool, type(None))


class Place(int):
    """The number of an array, as a placeholder for it."""


def arrays_of(value, arrays: list[np.ndarray], given: bool = True) -> Any:
    """The nesting with a Place for each array; the arrays are appended to the list.

    given : whether it is an argument, in which NumPy arrays count, too. CaptureError for an output that is an array.
    """
    if isinstance(value, Tensor) or (given and type(value) is np.ndarray and value.dtype.kind in "fiub"):
        arrays.append(value._data if isinstance(value, Tensor) else value)
        return Place(len(arrays) - 1)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[arrays_of(item, arrays, given) for item in value])
    if type(value) in (tuple, list):
        return type(value)([arrays_of(item, arrays, given) for item in value])
    if type(value) is dict:
        return {name: arrays_of(item, arrays, given) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        if given:
            raise CaptureError(f"capture: expected plain arrays of numbers as arguments, got {type(value).__name__} of "
                               f"{value.dtype}")
        raise CaptureError("capture: the function returns an array, which would stay the same at each later call: "
                           "return the Tensor")
    return value


def rebuilt(nesting, values: list) -> Any:
    """The nesting with a value in each Place."""
    if type(nesting) is Place:
        return values[nesting]
    if isinstance(nesting, tuple) and hasattr(nesting, "_fields"):
        return type(nesting)(*[rebuilt(item, values) for item in nesting])
    if type(nesting) in (tuple, list):
        return type(nesting)([rebuilt(item, values) for item in nesting])
    if type(nesting) is dict:
        return {name: rebuilt(item, values) for name, item in nesting.items()}
    return nesting


def told(nesting, statics: list) -> Any:
    """A key to compare nestings by; objects other than numbers and strings count by identity, and join the list."""
    if type(nesting) is Place:
        return "array", int(nesting)
    if isinstance(nesting, (tuple, list)):
        return type(nesting), tuple([told(item, statics) for item in nesting])
    if isinstance(nesting, dict):
        return dict, tuple([(name, told(item, statics)) for name, item in nesting.items()])
    if isinstance(nesting, (*PLAIN, np.generic)):
        return type(nesting), repr(nesting)
    statics.append(nesting)
    return type(nesting), id(nesting)
