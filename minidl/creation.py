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


def rand(*size, generator=None, dtype=float32, requires_grad: bool = False) -> Tensor:
    """Samples of the uniform distribution on [0, 1), of the shape ``size``; generator as for randn."""
    shape = _shape(size)

    def draw():
        return np.asarray(random.generator(generator).random(shape, dtype))

    return drawn("rand", draw).requires_grad_(requires_grad)


def rand_like(x, *, generator=None) -> Tensor:
    """rand of x's shape and dtype."""
    return rand(*x.shape, generator=generator, dtype=x.dtype)


def randn_like(x, *, generator=None) -> Tensor:
    """randn of x's shape and dtype."""
    return randn(*x.shape, generator=generator, dtype=x.dtype)


def full(size, fill_value, *, dtype=None, requires_grad: bool = False) -> Tensor:
    """The number ``fill_value`` in the shape ``size``: float32, int64 or bool, as the number is, unless dtype says."""
    kind = np.asarray(fill_value).dtype
    return _filled(np.full(size, fill_value, dtype or (float32 if kind.kind == "f" else kind)), requires_grad)


def full_like(x, fill_value) -> Tensor:
    """full of x's shape and dtype."""
    return full(x.shape, fill_value, dtype=x.dtype)


def arange(start, end=None, step=1, *, dtype=None, requires_grad: bool = False) -> Tensor:
    """start, start + step, ... below end; from 0 if one number is given. int64 for integers, else float32."""
    start, end = (0, start) if end is None else (start, end)
    array = np.arange(start, end, step)
    return _filled(array.astype(dtype or (int64 if array.dtype.kind in "iu" else float32)), requires_grad)


def linspace(start, end, steps: int, *, dtype=float32, requires_grad: bool = False) -> Tensor:
    """``steps`` numbers at equal distances, from start to end, both included."""
    return _filled(np.linspace(start, end, steps).astype(dtype), requires_grad)


def eye(n: int, m: int | None = None, *, dtype=float32, requires_grad: bool = False) -> Tensor:
    """The identity matrix (n, n), or (n, m) with ones on the diagonal."""
    return _filled(np.eye(n, m, dtype=dtype), requires_grad)


def _filled(array: np.ndarray, requires_grad: bool) -> Tensor:
    constant(array)
    return Tensor(array, requires_grad)


def _shape(size) -> tuple[int, ...]:
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], (int, np.integer)) else size
