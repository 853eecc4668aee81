"""Functions that make Tensors, and PyTorch's names for the dtypes."""
from __future__ import annotations

import numpy as np

from . import random
from .autograd.tape import constant
from .autograd.tensor import Tensor, drawn

float32, float64, int64 = np.float32, np.float64, np.int64
long = int64


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor on the array's own memory. TypeError for anything but an array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected an array, got {type(array).__name__}")
    return Tensor(array)


def zeros(*size, dtype=float32, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape ``size``, given as numbers or as one tuple."""
    return _filled(np.zeros(_shape(size), dtype), requires_grad)


def ones(*size, dtype=float32, requires_grad: bool = False) -> Tensor:
    """Ones of the shape ``size``."""
    return _filled(np.ones(_shape(size), dtype), requires_grad)


def randn(*size, generator=None, dtype=float32, requires_grad: bool = False) -> Tensor:
    """Samples of the standard normal distribution, of the shape ``size``.

    ``generator``: a seed or a numpy.random.Generator; by default minidl's own stream.
    """
    shape = _shape(size)

    def draw():
        return np.asarray(random.generator(generator).standard_normal(shape, dtype))

    return drawn("randn", draw).requires_grad_(requires_grad)


def _filled(array: np.ndarray, requires_grad: bool) -> Tensor:
    constant(array)
    return Tensor(array, requires_grad)


def _shape(size) -> tuple[int, ...]:
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], (int, np.integer)) else size
