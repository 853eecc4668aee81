"""Functions that make Tensors, and PyTorch's names for the dtypes.

``device``, where it is an argument, may be "cpu" alone (ValueError).
"""
from __future__ import annotations

import numpy as np

from . import random
from .autograd.device import check_device
from .autograd.tape import constant
from .autograd.tensor import Tensor, drawn, tensor

float32, float64, int32, int64, uint8 = np.float32, np.float64, np.int32, np.int64, np.uint8
long = int64


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor on the array's own memory. TypeError for anything but an array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected an array, got {type(array).__name__}")
    return Tensor(array)


def zeros(*size, dtype=None, device=None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape ``size``, given as numbers or as one tuple."""
    return _filled(np.zeros(_shape(size), dtype or float32), requires_grad, device)


def ones(*size, dtype=None, device=None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape ``size``."""
    return _filled(np.ones(_shape(size), dtype or float32), requires_grad, device)


def randn(*size, generator=None, dtype=None, device=None, requires_grad: bool = False) -> Tensor:
    """Samples of the standard normal distribution, of the shape ``size``.

    ``generator``: a seed or a numpy.random.Generator; by default minidl's own stream.
    """
    check_device(device)
    shape, dtype = _shape(size), dtype or float32

    def draw():
        return np.asarray(random.generator(generator).standard_normal(shape, dtype))

    return drawn("randn", draw).requires_grad_(requires_grad)


def rand(*size, generator=None, dtype=None, device=None, requires_grad: bool = False) -> Tensor:
    """Samples of the uniform distribution on [0, 1), of the shape ``size``; generator as for randn."""
    check_device(device)
    shape, dtype = _shape(size), dtype or float32

    def draw():
        return np.asarray(random.generator(generator).random(shape, dtype))

    return drawn("rand", draw).requires_grad_(requires_grad)


def rand_like(x, *, generator=None, dtype=None, device=None) -> Tensor:
    """rand of x's shape and dtype."""
    return rand(*x.shape, generator=generator, dtype=dtype or x.dtype, device=device)


def randn_like(x, *, generator=None, dtype=None, device=None) -> Tensor:
    """randn of x's shape and dtype."""
    return randn(*x.shape, generator=generator, dtype=dtype or x.dtype, device=device)


def normal(mean, std, size=None, *, generator=None) -> Tensor:
    """Samples of N(mean, std²): of this shape for two numbers, or one for each element of Tensors that are broadcast.

    The derivatives go to mean and std.
    """
    if size is not None:
        return randn(*size, generator=generator) * std + mean
    one = mean if isinstance(mean, Tensor) else std
    shape = np.broadcast_shapes(np.shape(getattr(mean, "_data", mean)), np.shape(getattr(std, "_data", std)))
    return randn(*shape, generator=generator, dtype=one.dtype) * std + mean


def randint(low, high=None, size=None, *, generator=None, dtype=None, device=None) -> Tensor:
    """Integers from low (by default 0) to high - 1, all as likely: ``randint(10, (2, 3))`` or ``randint(5, 10, (2,))``.

    int64 by default; generator as for randn.
    """
    check_device(device)
    low, high, size = (0, low, high) if size is None else (low, high, size)

    def draw():
        return np.asarray(random.generator(generator).integers(low, high, tuple(size))).astype(dtype or int64)

    return drawn("randint", draw)


def randperm(n: int, *, generator=None, dtype=None, device=None) -> Tensor:
    """0, 1, ... n - 1 in a random order, as int64; generator as for randn."""
    check_device(device)

    def draw():
        return np.asarray(random.generator(generator).permutation(n)).astype(dtype or int64)

    return drawn("randperm", draw)


def empty(*size, dtype=None, device=None, requires_grad: bool = False) -> Tensor:
    """zeros(*size): PyTorch leaves the elements as they are, whatever that is."""
    return zeros(*size, dtype=dtype, device=device, requires_grad=requires_grad)


def empty_like(x, *, dtype=None, device=None) -> Tensor:
    """empty of x's shape and dtype."""
    return empty(*x.shape, dtype=dtype or x.dtype, device=device)


def as_tensor(data, dtype=None, device=None) -> Tensor:
    """A Tensor as it is, or one on an array's own memory, or of numbers; cast where another dtype is asked for."""
    made = data if isinstance(data, Tensor) else tensor(data, device=device)
    return made.to(dtype=dtype, device=device)


def is_tensor(obj) -> bool:
    """Whether it is a Tensor."""
    return isinstance(obj, Tensor)


def meshgrid(*tensors, indexing: str = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid, a Tensor for each axis, from vectors; "xy" exchanges the first two axes."""
    vectors = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: expected indexing 'ij' or 'xy', got {indexing!r}")
    order = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        order[:2] = [1, 0]
    shape = tuple([vectors[i].numel() for i in order])
    return tuple([vector.reshape([-1 if order.index(k) == axis else 1 for axis in range(len(shape))]).expand(shape)
                  for k, vector in enumerate(vectors)])


def allclose(input, other, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are equal but for atol + rtol |other|."""
    return as_tensor(input).allclose(other, rtol, atol, equal_nan)


def equal(input, other) -> bool:
    """Whether shape and all elements are equal."""
    return as_tensor(input).equal(other)


def full(size, fill_value, *, dtype=None, device=None, requires_grad: bool = False) -> Tensor:
    """The number ``fill_value`` in the shape ``size``: float32, int64 or bool, as the number is, unless dtype says."""
    kind = np.asarray(fill_value).dtype
    array = np.full(size, fill_value, dtype or (float32 if kind.kind == "f" else kind))
    return _filled(array, requires_grad, device)


def full_like(x, fill_value, *, dtype=None, device=None) -> Tensor:
    """full of x's shape and dtype."""
    return full(x.shape, fill_value, dtype=dtype or x.dtype, device=device)


def arange(start, end=None, step=1, *, dtype=None, device=None, requires_grad: bool = False) -> Tensor:
    """start, start + step, ... below end; from 0 if one number is given. int64 for integers, else float32."""
    start, end = (0, start) if end is None else (start, end)
    array = np.arange(start, end, step)
    return _filled(array.astype(dtype or (int64 if array.dtype.kind in "iu" else float32)), requires_grad,
                   device)


def linspace(start, end, steps: int, *, dtype=None, device=None, requires_grad: bool = False) -> Tensor:
    """``steps`` numbers at equal distances, from start to end, both included."""
    return _filled(np.linspace(start, end, steps).astype(dtype or float32), requires_grad, device)


def eye(n: int, m: int | None = None, *, dtype=None, device=None, requires_grad: bool = False) -> Tensor:
    """The identity matrix (n, n), or (n, m) with ones on the diagonal."""
    return _filled(np.eye(n, m, dtype=dtype or float32), requires_grad, device)


def _filled(array: np.ndarray, requires_grad: bool, device=None) -> Tensor:
    check_device(device)
    constant(array)
    return Tensor(array, requires_grad)


def _shape(size) -> tuple[int, ...]:
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], (int, np.integer)) else size
