"""Data as users have it, as the arrays that a model takes: converted once, or refused in one sentence."""
from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterator, Sequence

import numpy as np

from ..autograd.tape import no_grad
from ..autograd.tensor import Tensor
from ..nn.module import Module
from .layers import NotCapturable, leaves


def dtype_of(model: Module) -> np.dtype:
    return next((parameter.dtype for parameter in model.parameters()), np.dtype(np.float32))


def array_of(who: str, label: str, given) -> np.ndarray:
    """The numbers of an array, a Tensor, nested lists or what has ``__array__``, as a plain array.

    Floats and integers keep their dtype, in native byte order; objects that are all numbers become ints or floats.
    The array is not copied where the kernels can read it. Raises TypeError for
    what are no numbers, ValueError for rows of several lengths and for masked values, RuntimeError for a
    Tensor that requires a gradient.
    """
    if isinstance(given, Tensor):
        if given.requires_grad:
            came = "a Tensor that requires one: detach() it"
            raise RuntimeError(f"{who}: expected {label} without a gradient, got {came}")
        given = given.data
    refuse_masked(who, label, given)
    try:
        array = np.asarray(given)
        if array.dtype.kind == "O" and array.ndim:
            array = np.asarray(array.tolist())
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(f"{who}: expected {label} with rows of one length, got rows of several") from None
    if array.dtype.kind == "O":
        array = _floats_of_objects(who, label, given, array)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{who}: expected {label} of numbers, got dtype {array.dtype}")
    if not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    return readable(array)


def readable(array: np.ndarray) -> np.ndarray:
    """The array, or a copy where it is a field of a packed record, with aligned elements and strides."""
    whole = array.flags.aligned and not any(stride % array.itemsize for stride in array.strides)
    return array if whole else array.copy()


def plain_array(who: str, label: str, given: np.ndarray) -> np.ndarray:
    """An array of any class as one that the kernels can read, in its dtype. ValueError for masked values."""
    refuse_masked(who, label, given)
    return readable(np.asarray(given))


def checked_index(who: str, index: np.ndarray, count: int) -> np.ndarray:
    """The index as rows 0 .. count - 1. TypeError or IndexError for others."""
    if index.dtype.kind not in "iu" or index.ndim != 1:
        came = f"{index.dtype} of shape {index.shape}"
        raise TypeError(f"{who}: expected index as integers of shape (N,), got {came}")
    if index.size and not 0 <= index.min() <= index.max() < count:
        came = f"{index.min()} to {index.max()}"
        raise IndexError(f"{who}: expected an index from 0 to {count - 1}, got {came}")
    return index.astype(np.intp, copy=False)


def refuse_masked(who: str, label: str, given) -> None:
    parts = given if isinstance(given, (list, tuple)) else [given]
    masked = sum(int(np.ma.count_masked(part)) for part in parts if isinstance(part, np.ma.MaskedArray))
    if masked:
        raise ValueError(f"{who}: expected {label} without masked values, got {masked}: fill them or leave them out")


def _floats_of_objects(who: str, label: str, given, array: np.ndarray) -> np.ndarray:
    """Objects such as Decimals and Fractions as float64."""
    if not array.ndim:
        raise TypeError(f"{who}: expected {label} as an array or a list of numbers, got {type(given).__name__}")
    others = {type(x).__name__ for x in array.flat if not isinstance(x, numbers.Number) or isinstance(x, complex)}
    if others:
        raise TypeError(f"{who}: expected {label} of numbers, got objects of type {', '.join(sorted(others))}")
    return array.astype(np.float64)


def as_floats(array: np.ndarray, dtype) -> np.ndarray:
    """Cast to this dtype; numbers that are too large become infinite."""
    with np.errstate(over="ignore"):
        return array.astype(dtype, copy=False)


def inputs_of(model: Module, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The inputs as the model takes them: in its dtype, except integers for a model that indexes with them."""
    dtype = dtype_of(model)
    floats = [as_floats(array, dtype) for array in arrays]
    if all(array.dtype.kind == "f" for array in arrays) or _takes_floats(model, floats):
        return floats
    return [cast if array.dtype.kind == "f" else array for array, cast in zip(arrays, floats, strict=True)]


@contextlib.contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """``with evaluating(model):`` in evaluation mode; the modes are put back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@no_grad()
def _takes_floats(model: Module, floats: Sequence[np.ndarray]) -> bool:
    """Whether it takes the first row in floats; a user's model that indexes with its input takes integers."""
    try:
        leaves(model)
    except NotCapturable:
        with evaluating(model), np.errstate(all="ignore"):
            try:
                model(*[array[:1] for array in floats])
            except (IndexError, TypeError):
                return False
    return True
