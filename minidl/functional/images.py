"""How images lie, and what their windows see.

A batch of images has PyTorch's shape (N, C, H, W) and lies as (N, H, W, C): the channels of a place side by side. A
batch of sequences (N, C, L) lies as (N, L, C). A weight (O, C, kh, kw) lies as (kh, kw, C, O). The kernels see a batch
as a matrix with a row for each sample, and a weight as one with a row for each tap and channel of the input.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .. import arrays
from ..arrays import FLOATS
from ..autograd.tensor import Tensor
from .operation import Operation

_turned = arrays.compiled("turned")


class Geometry(NamedTuple):
    """The numbers that the kernels take, in their order; see kernels/call.pxi."""

    height: int
    width: int
    channels: int
    out_height: int
    out_width: int
    out_channels: int
    kernel_height: int
    kernel_width: int
    stride_y: int
    stride_x: int
    dilation_y: int = 1
    dilation_x: int = 1
    groups: int = 1
    top: int = 0
    left: int = 0
    divisor: int = 1


def pair(numbers) -> tuple[int, int]:
    """(y, x) of one number or two for the axes behind the channels; a sequence is one line, y = 1."""
    return (1, *numbers) if len(numbers) == 1 else tuple(numbers)


def offsets(numbers) -> tuple[int, int]:
    """The same for what is 0 for a line: padding."""
    return (0, *numbers) if len(numbers) == 1 else tuple(numbers)


# Where images lie

def axes_as_they_lie(ndim: int) -> tuple[int, ...]:
    """The axes of images in memory: N, H, W, C."""
    return (0, *range(2, ndim), 1)


def new_images(shape: Sequence[int], dtype) -> np.ndarray:
    """Images of this shape with nothing in them."""
    n, c, *size = shape
    return np.empty((n, *size, c), dtype).transpose(0, len(shape) - 1, *range(1, len(shape) - 1))


def are_images(x: np.ndarray) -> bool:
    """Whether x lies as (N, H, W, C), without gaps."""
    return x.ndim > 2 and x.transpose(axes_as_they_lie(x.ndim)).flags.c_contiguous


def matrix_of(x: np.ndarray) -> np.ndarray:
    """Images as a matrix, a row for each sample; a view if they lie as images do."""
    return np.ascontiguousarray(x.transpose(axes_as_they_lie(x.ndim))).reshape(len(x), math.prod(x.shape[1:]))


def weight_axes(ndim: int) -> tuple[int, ...]:
    """The axes of a weight in memory: kh, kw, C, O."""
    return (*range(2, ndim), 1, 0)


def new_weight(shape: Sequence[int], dtype) -> np.ndarray:
    """Zeros that lie as a weight."""
    return weight_of_matrix(np.zeros(math.prod(shape), dtype), shape)


def matrix_of_weight(weight: np.ndarray) -> np.ndarray:
    """A weight as (taps and channels, O); a view if it lies as weights do."""
    return np.ascontiguousarray(weight.transpose(weight_axes(weight.ndim))).reshape(-1, weight.shape[0])


def weight_of_matrix(matrix: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The reverse: a view of shape (O, C, kh, kw)."""
    order = weight_axes(len(shape))
    return matrix.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))


# To let them lie so

def _channels_last_value(x: np.ndarray) -> np.ndarray:
    y = new_images(x.shape, x.dtype)
    if x.flags.c_contiguous and x.dtype in FLOATS and x.size:
        _turned[x.dtype](x.reshape(len(x), -1), matrix_of(y), x.shape[1])
    else:
        y[...] = x
    return y


_channels_last = Operation("channels_last", _channels_last_value, lambda g, y, x: g, reads=("",))


def channels_last(x):
    """x, copied unless it lies as images do. The derivative does not move anything."""
    return x if are_images(x._data if isinstance(x, Tensor) else x) else _channels_last(x)


def geometry(x: Sequence[int], y: Sequence[int], kernel, stride, padding, dilation=None, groups: int = 1,
             divisor: int = 1) -> tuple[int, ...]:
    """The numbers of a Geometry: of windows over images of shape x that give images of shape y.

    kernel, stride, padding, dilation : a number for each axis but N and C.
    """
    return tuple(Geometry(
        *pair(x[2:]), x[1], *pair(y[2:]), y[1], *pair(kernel), *pair(stride),
        *pair(dilation or (1,) * len(kernel)), groups, *offsets(padding), divisor))
