"""Normalisation: x with mean 0 and variance 1 over a batch, a row or a group, then scaled and shifted.

All are written in two functions of a matrix: over its columns, or over its rows, which has a kernel.
"""
from __future__ import annotations

import math

import numpy as np

from .. import arrays
from ..autograd.tape import no_grad
from .composition import Composed
from .elementwise import sqrt
from .operation import Operation
from .reductions import mean
from .shapes import permute, reshape

__all__ = ["batch_norm", "group_norm", "layer_norm", "rms_norm"]


def _over_columns(x, eps: float):
    """(x - mean) / √(var + eps) for each column of a matrix, the mean and the variance."""
    average = mean(x, 0)
    centred = x - average
    variance = mean(centred * centred, 0)
    return centred / sqrt(variance + eps), average, variance


def _derivative(g, x, *, eps: float):
    """(g - mean of g - y (mean of g y)) / s, in operations."""
    centred = x - mean(x, -1, keepdim=True)
    s = sqrt(mean(centred * centred, -1, keepdim=True) + eps)
    y = centred / s
    return (g - mean(g, -1, keepdim=True) - y * mean(g * y, -1, keepdim=True)) / s


_normalize, _normalize_backward = arrays.unary("normalize_rows"), arrays.binary("normalize_rows_backward")
normalize_rows_backward = Composed(
    "normalize_rows_backward", lambda g, x, eps: _normalize_backward(g, x, eps), _derivative, 2, settings=("eps",))
normalize_rows = Operation(  # (x - mean) / √(var + eps) over the last axis
    "normalize_rows", lambda x, eps: _normalize(x, eps),
    lambda g, y, x, eps: normalize_rows_backward(g, x, eps=eps), settings=("eps",), reads=("0",))


def _channels_last(x):
    """(N, C, ...) as a matrix (samples and places, C)."""
    return x if x.ndim == 2 else reshape(permute(x, 0, *range(2, x.ndim), 1), -1, x.shape[1])


def _channels_second(y, shape: tuple[int, ...]):
    """The way back; images then lie as (N, H, W, C)."""
    if len(shape) == 2:
        return y
    return permute(reshape(y, shape[0], *shape[2:], shape[1]), 0, len(shape) - 1, *range(1, len(shape) - 1))


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training: bool = False, momentum=0.1,
               eps: float = 1e-5):
    """(x - mean) / √(var + eps) weight + bias for each channel of x (N, C) or (N, C, ...).

    In training mean and var (divided by n) are the batch's, and the running ones (Tensors, or None), whose variance
    is divided by n - 1, move towards them: r = (1 - momentum) r + momentum new. Otherwise the running ones are used.
    ValueError for one value a channel in training. Ioffe and Szegedy 2015.
    """
    rows = _channels_last(x)
    if training:
        n = math.prod(rows.shape[:-1])
        if n < 2:
            raise ValueError(f"batch_norm: expected more than one value a channel in training, got input {x.shape}")
        y, average, variance = _over_columns(rows, eps)
        if running_mean is not None:
            _track(running_mean, average, momentum)
            _track(running_var, variance * (n / (n - 1)), momentum)
    elif running_mean is None or running_var is None:
        raise ValueError("batch_norm: expected running_mean and running_var in evaluation, got None")
    else:
        y = (rows - running_mean) / sqrt(running_var + eps)
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return _channels_second(y, x.shape)


@no_grad()
def _track(running, new, momentum) -> None:
    running.copy_(running * (1 - momentum) + new * momentum)


def _normalized(name: str, x, normalized_shape) -> tuple[int, ...]:
    """The lengths of the last axes, which are normalised. ValueError unless x has them."""
    if isinstance(normalized_shape, (int, np.integer)):
        normalized_shape = (normalized_shape,)
    shape = tuple(int(n) for n in normalized_shape)
    if not shape or x.ndim < len(shape) or x.shape[x.ndim - len(shape):] != shape:
        expected = ", ".join(["...", *map(str, shape)])
        raise ValueError(f"{name}: expected input of shape ({expected}), got {x.shape}")
    return shape


def _last_axes_as_one(x, shape: tuple[int, ...]):
    return x if len(shape) == 1 else reshape(x, *x.shape[:x.ndim - len(shape)], math.prod(shape))


def layer_norm(x, normalized_shape, weight=None, bias=None, eps: float = 1e-5):
    """(x - mean) / √(var + eps) weight + bias, over the last axes, of the lengths ``normalized_shape``.

    Each sample by itself, in training as in evaluation; var is divided by n. ValueError for another shape.
    Ba, Kiros and Hinton 2016.
    """
    shape = _normalized("layer_norm", x, normalized_shape)
    y = normalize_rows(_last_axes_as_one(x, shape), eps=eps)
    y = y if len(shape) == 1 else reshape(y, x.shape)
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


def rms_norm(x, normalized_shape, weight=None, eps: float | None = None):
    """x / √(mean of x² + eps) weight over the last axes; eps by default the machine's (Zhang and Sennrich 2019)."""
    shape = _normalized("rms_norm", x, normalized_shape)
    rows = _last_axes_as_one(x, shape)
    y = rows / sqrt(mean(rows * rows, -1, keepdim=True) + (float(np.finfo(x.dtype).eps) if eps is None else eps))
    y = y if len(shape) == 1 else reshape(y, x.shape)
    return y if weight is None else y * weight


def group_norm(x, num_groups: int, weight=None, bias=None, eps: float = 1e-5):
    """Each sample of x (N, C, ...) normalised over groups of C / num_groups channels and all places; Wu and He 2018.

    ValueError unless num_groups divides C.
    """
    if x.ndim < 2 or x.shape[1] % num_groups:
        raise ValueError(f"group_norm: expected input of shape (N, C, ...) with C divisible by {num_groups}, "
                         f"got {x.shape}")
    y = reshape(normalize_rows(reshape(x, x.shape[0], num_groups, -1), eps=eps), x.shape)
    each = (1, x.shape[1], *[1] * (x.ndim - 2))
    if weight is not None:
        y = y * reshape(weight, each)
    return y if bias is None else y + reshape(bias, each)
