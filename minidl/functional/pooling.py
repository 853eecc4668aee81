"""Pooling: each window of each channel as one number, its largest or its average.

The derivative of the largest goes to the first place in the window that has it; where windows overlap, an x gets
the sum. The average is linear, so its derivative spreads by it, and the derivative of that is the average again.
"""
from __future__ import annotations

import numpy as np

from .. import arrays
from ..arrays import FLOATS
from .convolution import numbers
from .images import channels_last, geometry, matrix_of, new_images
from .operation import Operation, no_derivative
from .shapes import squeeze, unsqueeze

WITH_PADDING, INSIDE, ADAPTIVE = 0, -1, -2  # what an average divides by, beside a number

_kernels = {name: arrays.compiled(name) for name in (
    "max_pool", "max_pool_backward", "max_pool_pick", "average_pool", "average_pool_backward")}


def _run(name: str, parts, y, x, kernel, stride, before, **more):
    """Run a kernel on images; x and y: the shapes of the input and of the output."""
    out = parts[-1]
    if out.size:
        _kernels[name][out.dtype](
            *map(matrix_of, parts), geometry(x, y, kernel, stride, before, **more))
    return out


def _max_pool_value(x, *, size, **settings):
    y = new_images((*x.shape[:2], *size), x.dtype)
    return _run("max_pool", (x, y), y.shape, x.shape, **settings)


def _max_pool_backward_value(g, x, **settings):
    return _run("max_pool_backward", (g, x, new_images(x.shape, x.dtype)), g.shape, x.shape, **settings)


def _max_pool_pick_value(u, x, *, size, **settings):
    y = new_images((*x.shape[:2], *size), x.dtype)
    return _run("max_pool_pick", (u, x, y), y.shape, x.shape, **settings)


max_pool_backward = Operation(  # g at the places of the largest x
    "max_pool_backward", _max_pool_backward_value,
    lambda u, d, g, x, **s: max_pool_pick(channels_last(u), x, size=g.shape[2:], **s), no_derivative, reads=("1", ""))
max_pool_pick = Operation(  # u where x is largest
    "max_pool_pick", _max_pool_pick_value,
    lambda v, d, u, x, size, **s: max_pool_backward(channels_last(v), x, **s), no_derivative, reads=("1", ""))
max_pool = Operation(
    "max_pool", _max_pool_value, lambda g, y, x, size, **s: max_pool_backward(channels_last(g), x, **s), reads=("0",))


def _average_pool_value(x, *, size, **settings):
    y = new_images((*x.shape[:2], *size), x.dtype)
    return _run("average_pool", (x, y), y.shape, x.shape, **settings)


def _average_pool_backward_value(g, *, size, **settings):
    dx = new_images((*g.shape[:2], *size), g.dtype)
    return _run("average_pool_backward", (g, dx), g.shape, dx.shape, **settings)


average_pool = Operation(  # size: of the output
    "average_pool", _average_pool_value,
    lambda g, y, x, size, **s: average_pool_backward(channels_last(g), size=x.shape[2:], **s), reads=("",))
average_pool_backward = Operation(  # size: of the input
    "average_pool_backward", _average_pool_backward_value,
    lambda u, d, g, size, **s: average_pool(channels_last(u), size=g.shape[2:], **s), reads=("",))


# What a script calls

def _batch(who: str, axes: int, x):
    """x as a batch of images, and what is done to the result. ValueError for other ranks, TypeError for no floats."""
    if x.ndim not in (axes + 1, axes + 2):
        letters = "L" if axes == 1 else "H, W"
        raise ValueError(f"{who}: expected input of shape (N, C, {letters}) or (C, {letters}), got {x.shape}")
    if x.dtype not in FLOATS:
        raise TypeError(f"{who}: expected a float32 or float64 input, got {x.dtype}")
    if x.ndim == axes + 1:
        return channels_last(unsqueeze(x, 0)), lambda y: squeeze(y, 0)
    return channels_last(x), lambda y: y


def _windows(who: str, axes: int, x, kernel_size, stride, padding, dilation, ceil_mode) -> dict:
    """The settings of windows over x."""
    kernel = numbers(who, "kernel_size", kernel_size, axes, 1)
    stride = kernel if stride is None or stride == () else numbers(who, "stride", stride, axes, 1)
    padding = numbers(who, "padding", padding, axes, 0)
    dilation = numbers(who, "dilation", dilation, axes, 1)
    size = []
    for n, k, s, p, d in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True):
        reach = d * (k - 1) + 1
        if p > reach // 2:
            raise ValueError(f"{who}: expected padding of at most half the window, {reach // 2}, got {padding}")
        room = n + 2 * p - reach
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= n + p:  # the last window must begin before the padding behind
            count -= 1
        if count < 1:
            raise ValueError(f"{who}: the window reaches over {reach}, more than the {n + 2 * p} of the padded input "
                             f"of shape {x.shape}")
        size.append(count)
    return {"size": tuple(size), "kernel": kernel, "stride": stride, "before": padding, "dilation": dilation}


def _places_of_largest(x: np.ndarray, settings: dict) -> np.ndarray:
    """The index of the place, counted through all lines, that gives each output of max_pool."""
    places = new_images((1, 1, *x.shape[2:]), x.dtype)
    places[...] = np.arange(places.size).reshape(places.shape)
    found = _max_pool_pick_value(np.ascontiguousarray(np.broadcast_to(places, x.shape)), x, **settings)
    return found.astype(np.int64)


_indices = Operation("max_pool_indices", lambda x, **settings: _places_of_largest(x, settings))


def _max_pool(who, axes, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices):
    x, unbatched = _batch(who, axes, x)
    settings = _windows(who, axes, x, kernel_size, stride, padding, dilation, ceil_mode)
    y = unbatched(max_pool(x, **settings))
    return (y, unbatched(_indices(x, **settings))) if return_indices else y


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest of each window: (N, C, L) or (C, L) -> (N, C, L'). As ``max_pool2d``."""
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest of each window: (N, C, H, W) or (C, H, W) -> (N, C, H', W').

    stride : by default the kernel_size. padding : of minus infinity, at most half a window.
    ceil_mode : also windows that hang over the end, if they begin before it.
    return_indices : give (y, the place y W + x in the image of each largest), int64.

    Raises ValueError for shapes and settings that do not match, TypeError for what are no floats.
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _average(who, axes, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override=None):
    x, unbatched = _batch(who, axes, x)
    settings = _windows(who, axes, x, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is not None and divisor_override < 1:
        raise ValueError(f"{who}: expected a divisor of at least 1, got {divisor_override}")
    divisor = divisor_override or (WITH_PADDING if count_include_pad else INSIDE)
    return unbatched(average_pool(x, **settings, divisor=divisor))


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The average of each window: (N, C, L) or (C, L) -> (N, C, L'). As ``avg_pool2d``."""
    return _average("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
               divisor_override=None):
    """The average of each window: (N, C, H, W) or (C, H, W) -> (N, C, H', W').

    stride, padding, ceil_mode : as for ``max_pool2d``; the padding is of zeros.
    count_include_pad : whether they count. divisor_override : divide by this number instead.

    Raises ValueError for shapes and settings that do not match, TypeError for what are no floats.
    """
    return _average("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
                    divisor_override)


def _adaptive(who: str, axes: int, x, output_size):
    x, unbatched = _batch(who, axes, x)
    given = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * axes
    size = numbers(who, "output_size", tuple(n if m is None else m for n, m in zip(x.shape[2:], given, strict=True))
                   if len(given) == axes else given, axes, 1)
    ones = (1,) * axes
    return unbatched(average_pool(x, size=size, kernel=ones, stride=ones, before=(0,) * axes, divisor=ADAPTIVE))


def adaptive_avg_pool1d(input, output_size):
    """The averages of output_size windows that divide the sequence: (N, C, L) or (C, L) -> (N, C, output_size)."""
    return _adaptive("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input, output_size):
    """The averages of windows that divide the image: (N, C, H, W) or (C, H, W) -> (N, C, H', W').

    output_size : H' and W', or one number for both; None keeps the input's. Window i goes from the floor of i H / H' to
    the ceiling of (i + 1) H / H'.
    """
    return _adaptive("adaptive_avg_pool2d", 2, input, output_size)


def zero_pad2d(input, padding):
    """Zeros around images: (N, C, H, W) or (C, H, W). padding : a number, or (left, right, top, bottom).

    Numbers below zero cut off. ValueError where nothing is left.
    """
    around = (padding,) * 4 if isinstance(padding, (int, np.integer)) else tuple(padding)
    if len(around) != 4 or any(not isinstance(n, (int, np.integer)) for n in around):
        raise ValueError(f"zero_pad2d: expected padding as an integer or four of them, got {padding!r}")
    left, right, top, bottom = map(int, around)
    x, unbatched = _batch("zero_pad2d", 2, input)
    size = x.shape[2] + top + bottom, x.shape[3] + left + right
    if min(size) < 1:
        raise ValueError(f"zero_pad2d: nothing is left of an input of shape {x.shape} with padding {padding}")
    # the averages of windows of one element
    return unbatched(average_pool(x, size=size, kernel=(1, 1), stride=(1, 1), before=(top, left), divisor=1))
