"""Nested states as named arrays and JSON: dicts, lists, tuples, numbers, texts and arrays within each other.

What JSON does not have becomes an object whose only name begins with $:

    {"$array": name}          an array, in the file under this name; {"$scalar": name}: a NumPy number
    {"$floats": name}         a long list of floats, as an array
    {"$float": "inf"}         a float that is not finite: "inf", "-inf", "nan"
    {"$tuple": [...]}         a tuple
    {"$dict": [[key, value]]} a dict whose keys are no texts, or begin with $
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

KINDS = "biufc"  # what arrays may hold: truth values and numbers
LONG = 64  # floats that are an array rather than text
DEEPEST = 50


def packed(state: Any) -> tuple[dict[str, np.ndarray], Any]:
    """(arrays, content): the arrays in it by their names, and the rest as JSON takes it.

    Raises TypeError, with the place, for what cannot be saved, ValueError for what is nested too deeply.
    """
    arrays: dict[str, np.ndarray] = {}
    return arrays, _packed(state, (), arrays)


def _packed(value: Any, path: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Any:
    if len(path) > DEEPEST:
        raise ValueError(f"save: expected at most {DEEPEST} levels, got more at {'.'.join(path[:5])!r}")
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"$float": str(value)}
    value = as_array(value)
    if isinstance(value, np.ndarray) or (isinstance(value, np.generic) and value.dtype.kind in KINDS):
        if value.dtype.kind not in KINDS:
            raise TypeError(f"save: expected an array of numbers as {'.'.join(path)!r}, got {value.dtype}")
        return {"$array" if isinstance(value, np.ndarray) else "$scalar": _kept(np.asarray(value), path, arrays)}
    if isinstance(value, Mapping):
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: _packed(below, (*path, key), arrays) for key, below in value.items()}
        for key in value:
            if not (key is None or type(key) in (bool, int, float, str)):
                raise TypeError(f"save: expected names of type str, got {type(key).__name__}")
        return {"$dict": [[key, _packed(below, (*path, str(key)), arrays)] for key, below in value.items()]}
    if type(value) is list and len(value) >= LONG and all(type(x) is float for x in value):
        return {"$floats": _kept(np.array(value), path, arrays)}
    if type(value) in (list, tuple):
        items = [_packed(below, (*path, str(i)), arrays) for i, below in enumerate(value)]
        return items if type(value) is list else {"$tuple": items}
    raise TypeError(f"save: expected arrays, numbers, texts, or dicts, lists and tuples of such as "
                    f"{'.'.join(path)!r}, got {type(value).__name__}")


def as_array(value: Any) -> Any:
    """The array of a Tensor, minidl's or PyTorch's; anything else as it is."""
    if hasattr(value, "detach") and hasattr(value, "numpy"):
        return value.detach().numpy()
    return value


def _kept(array: np.ndarray, path: tuple[str, ...], arrays: dict[str, np.ndarray]) -> str:
    name = ".".join(path) or "array"
    while name in arrays or name == "__metadata__":  # {"a.b": ..., "a": {"b": ...}}
        name += "'"
    arrays[name] = array
    return name


def unpacked(content: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The state; ValueError for arrays that are not there, or that it does not name, and for unknown signs."""
    left = dict(arrays)
    state = _unpacked(content, left, 0)
    if left:
        raise ValueError(f"expected arrays that the state names, got {next(iter(left))!r}, too")
    return state


def _unpacked(content: Any, left: dict[str, np.ndarray], depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"expected a state of at most {DEEPEST} levels, got more")
    if isinstance(content, list):
        return [_unpacked(below, left, depth + 1) for below in content]
    if not isinstance(content, dict):
        return content
    if not any(key.startswith("$") for key in content):
        return {key: _unpacked(below, left, depth + 1) for key, below in content.items()}
    (sign, value), *more = content.items()
    if not more:
        if sign in ("$array", "$scalar", "$floats"):
            return _taken(sign, value, left)
        if sign == "$float" and value in ("inf", "-inf", "nan"):
            return float(value)
        if sign == "$tuple" and isinstance(value, list):
            return tuple(_unpacked(value, left, depth + 1))
        if sign == "$dict" and _are_pairs(value):
            return {key: _unpacked(below, left, depth + 1) for key, below in value}
    raise ValueError(f"expected a state as minidl writes it, got {str(content)[:80]}")


def _are_pairs(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and not isinstance(pair[0], (list, dict)) for pair in value)


def _taken(sign: str, name: Any, left: dict[str, np.ndarray]) -> Any:
    """The array of this name, which no other place has taken."""
    array = left.pop(name, None) if isinstance(name, str) else None
    if array is None:
        raise ValueError(f"expected an array {str(name)[:80]!r}, once, got none")
    if sign == "$array":
        return array
    if sign == "$scalar" and array.shape == ():
        return array[()]
    if sign == "$floats" and array.ndim == 1 and array.dtype == np.float64:
        return array.tolist()
    raise ValueError(f"expected another array as {name!r}, got {array.dtype} of shape {array.shape}")
