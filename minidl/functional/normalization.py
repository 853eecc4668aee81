"""Normalisation: x with mean 0 and variance 1 over a batch, a row or a group, then scaled and shifted.

All but rms_norm are one of two rows of a matrix, over its columns or over its rows, which have kernels.
"""
from __future__ import annotations

import math

import numpy as np

from .. import arrays
from ..autograd.tape import no_grad
from .composition import Composed
from .elementwise import sqrt
from .operation import Operation, no_derivative
from .reductions import mean, sum
from .shapes import cat, permute, reshape

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"]


# The rows. A weight and a bias may be missing. What the derivatives for x, the weight and the bias share has them one
# below the other, as the kernel gives them.


def _expression(g, x, weight, eps: float, axis: int):
    """What a kernel's derivative gives, in operations; axis: 0 of columns, -1 of rows."""
    centred = x - mean(x, axis, keepdim=True)
    s = sqrt(mean(centred * centred, axis, keepdim=True) + eps)
    u, e = centred / s, g if weight is None else g * weight
    dx = (e - mean(e, axis, keepdim=True) - u * mean(e * u, axis, keepdim=True)) / s
    return cat([dx, sum(g * u, 0, keepdim=True), sum(g, 0, keepdim=True)], 0)


def _backward(name: str, axis: int) -> Composed:
    return Composed(
        f"{name}_backward", lambda g, x, weight=None, *, eps: arrays.normalized_backward(name, g, x, weight, eps),
        lambda g, x, weight=None, *, eps: _expression(g, x, weight, eps, axis), 3)


layer_norm_backward, batch_norm_backward = _backward("layer_norm", -1), _backward("batch_norm", 0)
_layer_norm = Operation(  # of a matrix (N, C)
    "layer_norm", lambda x, weight=None, bias=None, *, eps: arrays.normalized("layer_norm", x, weight, bias, eps),
    lambda g, found, *_, eps: found[:-2], lambda g, found, *_, eps: found[-2], lambda g, found, *_, eps: found[-1],
    reads=("01", "0", ""),
    common=lambda g, y, x, *rest, eps: layer_norm_backward(g, x, *rest[:1], eps=eps))
_batch_moments = Operation(  # y, the means and the variances, one below the other
    "batch_norm_forward", lambda x, weight=None, bias=None, *, eps: arrays.normalized(
        "batch_norm", x, weight, bias, eps))
_batch_norm = Operation(  # y of them, for x, weight and bias
    "batch_norm", lambda found, x, weight=None, bias=None, *, eps: found[:-2],
    no_derivative, lambda g, found, *_, eps: found[:-2], lambda g, found, *_, eps: found[-2],
    lambda g, found, *_, eps: found[-1], reads=("", "12", "1", ""), views=True,
    common=lambda g, y, found, x, *rest, eps: batch_norm_backward(g, x, *rest[:1], eps=eps))


def _given(weight, bias) -> list:
    return [] if weight is None else [weight] if bias is None else [weight, bias]


def _of_rows(x, weight, bias, eps: float):
    """layer_norm over the last axis."""
    rows = x if x.ndim == 2 else reshape(x, -1, x.shape[-1])
    y = _layer_norm(rows, *_given(weight, bias), eps=eps)
    return y if x.ndim == 2 else reshape(y, x.shape)


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
        if weight is None and bias is not None:
            raise ValueError("batch_norm: expected a weight with the bias, got None")
        found = _batch_moments(rows, *_given(weight, bias), eps=eps)
        if running_mean is not None:
            _track(running_mean, found[-2], momentum)
            _track(running_var, found[-1] * (n / (n - 1)), momentum)
        return _channels_second(_batch_norm(found, rows, *_given(weight, bias), eps=eps), x.shape)
    if running_mean is None or running_var is None:
        raise ValueError("batch_norm: expected running_mean and running_var in evaluation, got None")
    y = (rows - running_mean) / sqrt(running_var + eps)
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return _channels_second(y, x.shape)


def instance_norm(x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats: bool = True,
                  momentum=0.1, eps: float = 1e-5):
    """(x - mean) / √(var + eps) weight + bias for each channel of each sample of x (N, C, ...), over its places.

    The running mean and var, if given, move towards the means over the samples; without ``use_input_stats`` they are
    used. ValueError for a single place. Ulyanov, Vedaldi and Lempitsky 2016.
    """
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    places = math.prod(x.shape[2:])
    if places < 2:
        raise ValueError(f"instance_norm: expected more than one place in training, got input {x.shape}")
    rows = reshape(x, x.shape[0], x.shape[1], -1)
    if running_mean is not None:
        _track_samples(rows, running_mean, running_var, momentum)
    y = reshape(_of_rows(rows, None, None, eps), x.shape)
    return _scaled(y, weight, bias)


@no_grad()
def _track_samples(rows, running_mean, running_var, momentum) -> None:
    """Let the running mean and var move towards the means over the samples of rows (N, C, places)."""
    centre = mean(rows, -1, keepdim=True)
    distance = rows - centre
    _track(running_mean, mean(reshape(centre, centre.shape[:2]), 0), momentum)
    _track(running_var, mean(sum(distance * distance, -1) / (rows.shape[-1] - 1), 0), momentum)


def _scaled(y, weight, bias):
    """y (N, C, ...) times a weight and plus a bias for each channel."""
    each = (1, y.shape[1], *[1] * (y.ndim - 2))
    if weight is not None:
        y = y * reshape(weight, each)
    return y if bias is None else y + reshape(bias, each)


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
    if weight is None and bias is not None:
        raise ValueError("layer_norm: expected a weight with the bias, got None")
    if len(shape) > 1:
        weight, bias = (part if part is None else reshape(part, -1) for part in (weight, bias))
    y = _of_rows(_last_axes_as_one(x, shape), weight, bias, eps)
    return y if len(shape) == 1 else reshape(y, x.shape)


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
    y = reshape(_of_rows(reshape(x, x.shape[0], num_groups, -1), None, None, eps), x.shape)
    return _scaled(y, weight, bias)
